"""Actions of another company, installed beside the orchestrator."""
