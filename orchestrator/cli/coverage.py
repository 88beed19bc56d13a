"""Coverage of call tests on the command line: measured by config, in text and JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.cli.coverage_html import coverage_html
from orchestrator.cli.find_configs import find_configs
from orchestrator.config import Config
from orchestrator.errors import EnvironmentFailure, OrchestratorError
from orchestrator.testing.coverage import Coverage, CoverageReport
from orchestrator.validation import load_config

__all__ = ["Measured", "coverage_row", "coverage_text", "write_html"]


class Measured:
    """The coverage of each config, over all files of call tests that test it."""

    def __init__(self) -> None:
        self._found: dict[Path, Coverage] = {}
        self._included: set[Path] = set()

    def add(self, config: Config, lines: Iterable[Mapping[str, Any]]) -> None:
        """Note what happened in one call."""
        path = Path(config.file).resolve()
        if path not in self._found:
            self._found[path] = Coverage(config)
            self._included.update({Path(file).resolve() for file in config.files} - {path})
        self._found[path].add(lines)

    def add_untested(self, folders: Iterable[Path]) -> None:
        """Note the configs in these folders that no test has played: nothing of them is covered.

        What another includes is counted there; what cannot be loaded is for `validate` to say.
        """
        for file in find_configs(str(folder) for folder in folders if folder.is_dir()).configs:
            if Path(file).resolve() not in self._found:
                with contextlib.suppress(OrchestratorError):
                    self.add(load_config(file), ())
        for path in self._included & self._found.keys():
            if not self._found[path].is_played:
                del self._found[path]

    def reports(self) -> list[CoverageReport]:
        """One report a config, in the order met."""
        return [coverage.report() for coverage in self._found.values()]


def coverage_text(report: CoverageReport) -> str:
    """How much is exercised, and each thing that is not, with its place."""
    covered = len(report.items) - len(report.missing)
    lines = [f"{report.file}: {covered} of {len(report.items)} exercised, {report.percent:g} %"]
    lines += [f"  {item.file}:{item.line}: never: {item.what}" for item in report.missing]
    return "\n" + "\n".join(lines) + "\n"


def coverage_row(report: CoverageReport) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "config": report.file,
        "items": len(report.items),
        "covered": len(report.items) - len(report.missing),
        "percent": report.percent,
        "missing": [
            {key: value for key, value in asdict(item).items() if key != "is_covered"}
            for item in report.missing
        ],
    }


def write_html(path: Path, reports: Sequence[CoverageReport]) -> None:
    """Write the page.

    Raises:
        EnvironmentFailure: it cannot be written.
    """
    try:
        path.write_text(coverage_html(reports), encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailure(f"cannot write {path}: {error.strerror}") from error
