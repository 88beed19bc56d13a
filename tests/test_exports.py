"""Every public module has a sorted `__all__` whose names exist; the package is typed."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import actions
import orchestrator

MODULES = sorted(
    name
    for package in (orchestrator, actions)
    for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not name.rpartition(".")[2].startswith("_") and name != "orchestrator.pytest_plugin"
)


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_and_complete(name: str) -> None:
    """Constants first, then classes, then functions, each sorted; nothing that is not there."""
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", None)
    assert exported is not None, f"{name} has no __all__"
    assert list(exported) == sorted(exported, key=_kind), name
    assert [n for n in exported if not hasattr(module, n)] == []


def _kind(name: str) -> tuple[int, str]:
    if name.isupper() or (name.startswith("__") and name.endswith("__")):
        return (2 if name.startswith("__") else 0, name)
    return (1 if name[0].isupper() else 2, name)


def test_the_package_exports_what_it_promises() -> None:
    """Each name of the facade can be imported."""
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        orchestrator.Nothing  # noqa: B018
