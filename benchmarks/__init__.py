"""Benchmarks: ratios to a named alternative, measured side by side in one run."""
