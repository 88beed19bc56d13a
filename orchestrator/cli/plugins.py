"""The registry of a command that takes `--with MODULE`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from orchestrator.registry import Registry

__all__ = ["registry_with"]


def registry_with(modules: Iterable[str]) -> Registry:
    """A registry that also has the actions of these modules, looked for here first.

    Raises:
        EnvironmentFailure: a module cannot be imported.
        UserError: it defines no action.
    """
    registry = Registry()
    for module in modules:
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())  # as `python -m` does
        registry.load_plugin(module)
    return registry
