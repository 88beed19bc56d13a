"""Documents -> `Config`, or all problems at once.

Way of the data: `toplevel` reads the sections and includes, `steps` the hooks and steps,
`option_values` what actions are given; on the config that comes out, `names` checks references,
`flow` the templates and what `data` holds, `timing` waits and order, `safety` secrets and targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config import Config
from orchestrator.document import Document, parse_document, read_document
from orchestrator.errors import ConfigError, Position, Problem, ProblemList
from orchestrator.registry import Registry
from orchestrator.validation.flow import check_flow
from orchestrator.validation.names import check_names
from orchestrator.validation.safety import check_safety
from orchestrator.validation.timing import check_timing
from orchestrator.validation.toplevel import ConfigReader

__all__ = ["Checked", "Settings", "check_document", "check_file", "check_text", "load_config"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How strict a check is.

    `environment` also checks plugins, callables and variables; `unknown_actions` lets actions
    pass that are not installed here.
    """

    environment: bool = False
    unknown_actions: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: all problems in reading order, and the config when there is one."""

    file: str
    config: Config | None
    problems: tuple[Problem, ...]
    documents: tuple[Document, ...]

    @property
    def is_good(self) -> bool:
        """Whether the config may take a call."""
        return self.config is not None and not any(p.is_error for p in self.problems)


def check_file(path: str | Path, settings: Settings | None = None) -> Checked:
    """Read and check a config file.

    Raises:
        EnvironmentFailure: the file cannot be read.
    """
    return check_document(read_document(path), settings)


def check_text(text: str, file: str = "<text>", settings: Settings | None = None) -> Checked:
    """Check a config given as text; includes are looked for beside `file`."""
    return check_document(parse_document(text, file), settings)


def check_document(document: Document, settings: Settings | None = None) -> Checked:
    """Check a document and the files that it includes."""
    settings = settings or Settings()
    problems = ProblemList()
    reader = ConfigReader(
        Registry(),
        accepts_unknown=settings.unknown_actions,
        checks_environment=settings.environment,
        problems=problems,
    )
    config = reader.read(document)
    if config is not None:
        check_names(config, problems, checks_environment=settings.environment)
        visits = check_flow(config, problems)
        check_timing(config, problems)
        check_safety(config, visits, problems)
    found, unused = _apply_ignores(problems.sorted(), reader.documents)
    return Checked(document.file, config, (*found, *unused), tuple(reader.documents))


def load_config(path: str | Path) -> Config:
    """The config of a file.

    Raises:
        ConfigError: it has problems; carries all of them.
        EnvironmentFailure: the file cannot be read.
    """
    checked = check_file(path)
    if checked.config is None or not checked.is_good:
        raise ConfigError(checked.problems)
    return checked.config


def _apply_ignores(
    problems: Sequence[Problem], documents: Sequence[Document]
) -> tuple[list[Problem], list[Problem]]:
    """Leave out what `# hooks: ignore[CODE]` comments ask for; report those that match nothing."""
    kept, used = [], set()
    wanted = {d.file: d.ignores for d in documents}
    for problem in problems:
        line = problem.position.line
        if problem.code in wanted.get(problem.position.file, {}).get(line, ()):
            used.add((problem.position.file, line, problem.code))
        else:
            kept.append(problem)
    unused = []
    for document in documents:
        for line, codes in document.ignores.items():
            for code in sorted(codes):
                if (document.file, line, code) not in used:
                    unused.append(_unused_ignore(document, line, code))
    return kept, unused


def _unused_ignore(document: Document, line: int, code: str) -> Problem:

    text = document.lines[line - 1] if line <= len(document.lines) else ""
    column = max(text.find("# hooks:"), 0) + 1
    position = Position(document.file, line, column, len(text) + 1)
    return document.problem(
        "HK121", f"nothing on this line is {code}", position, severity="warning",
        help="remove the comment",
    )  # fmt: skip
