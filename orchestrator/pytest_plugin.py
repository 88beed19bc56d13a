"""A pytest plugin: each test of a `*.calltest.yaml` file is a test item.

Installed with the package, so that `pytest configs/` works in any repository. It imports nothing
of the package until there is such a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from orchestrator.testing import CallTest, CallTestFile

__all__ = ["pytest_collect_file"]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect files of call tests."""
    if file_path.name.endswith((".calltest.yaml", ".calltest.yml")):
        return _File.from_parent(parent, path=file_path)
    return None


class _Failed(Exception):
    """A call went differently."""


class _File(pytest.File):
    """One file of call tests."""

    def collect(self) -> Iterator[pytest.Item]:
        """Its tests."""
        from orchestrator.errors import OrchestratorError
        from orchestrator.testing import load_call_tests

        try:
            loaded = load_call_tests(_shown_path(self.path))
        except OrchestratorError as error:
            raise self.CollectError(str(error)) from None
        for test in loaded.tests:
            yield _Item.from_parent(self, name=test.name, test=test, loaded=loaded)


def _shown_path(path: Path) -> Path:
    """Relative to the working directory where it can be, for messages that people click on."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


class _Item(pytest.Item):
    """One call test."""

    def __init__(self, *, test: CallTest, loaded: CallTestFile, **settings: Any) -> None:
        super().__init__(**settings)
        self.test = test
        self.loaded = loaded

    def runtest(self) -> None:
        """Play the call in virtual time."""
        from orchestrator.errors import OrchestratorError
        from orchestrator.testing import run_call_test

        try:
            result = run_call_test(self.test, self.loaded.plan)
        except OrchestratorError as error:
            raise _Failed(str(error)) from None
        if not result.has_passed:
            raise _Failed(result.report)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The first difference as a timeline; no traceback."""
        if isinstance(excinfo.value, _Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the test is written."""
        return self.path, self.test.line - 1, f"call test: {self.name}"
