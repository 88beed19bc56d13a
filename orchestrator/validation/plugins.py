"""`plugins`: modules that define actions, imported when a config is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from orchestrator.document import YamlMap
from orchestrator.errors import EnvironmentFailure, OrchestratorError
from orchestrator.registry import Registry
from orchestrator.validation.reader import Reader

__all__ = ["Plugins", "load_plugins"]

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(slots=True)
class Plugins:
    """What came of the plugins: those not installed here, and whether a finding says of any."""

    missing: list[str] = field(default_factory=list)
    is_reported: bool = False


def load_plugins(
    reader: Reader, root: YamlMap, registry: Registry, plugins: Plugins, *, is_strict: bool
) -> None:
    """Import the plugins. With `is_strict` one that is not installed is a finding."""
    names = reader.items(root, "plugins", "a list of modules") if "plugins" in root else None
    for index, name in enumerate(names or ()):
        if not isinstance(name, str) or not _MODULE.fullmatch(name):
            reader.wrong_type(names, index, "the name of a module such as my_company.actions")
            continue
        if name.endswith(".py"):
            hint = f"write `{name.removesuffix('.py')}`"
            reader.at(names, index, "HK103", f"{name!r} is a file, not a module", help=hint)
            continue
        try:
            registry.load_plugin(name)
        except EnvironmentFailure as error:
            plugins.missing.append(name)
            if is_strict:
                plugins.is_reported = True
                reader.at(names, index, "HK603", str(error))
        except OrchestratorError as error:
            plugins.is_reported = True
            reader.at(names, index, "HK603", str(error))
