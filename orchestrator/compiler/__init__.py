"""Config + environment -> Plan: everything is decided here, nothing at call time."""

from orchestrator.compiler.whole import compile_config

__all__ = ["compile_config"]
