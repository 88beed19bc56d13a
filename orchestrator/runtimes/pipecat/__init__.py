"""Calls of Pipecat; nothing of Pipecat is imported before a call needs it."""

from orchestrator.runtimes.pipecat.runner import PIPECAT_CAPABILITIES, Pipecat

__all__ = ["PIPECAT_CAPABILITIES", "Pipecat"]
