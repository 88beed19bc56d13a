"""Documents -> `Config`, or all findings at once.

Way of the data: `toplevel` reads the files, `sections` and `connections` what stands beside hooks,
`hooks`, `steps`, `controls` and the two `option_` modules the rest. On the config that comes out,
`names`, `callables`, `memories` and `unused` check references, `braces` texts, `flow` and `truth`
every template and what `data` holds, `waits`, `order`, `contradictions`, `loops`, `timers`,
`parallel` and `recording` time and order, `secrets`, `untrusted`, `hosts`, `headers` and `limits`
safety, `capabilities` the runtime.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.config import Config
from orchestrator.document import Document, parse_document
from orchestrator.errors import ConfigError, Problem
from orchestrator.registry import Registry
from orchestrator.validation.braces import check_braces
from orchestrator.validation.callables import check_callables
from orchestrator.validation.capabilities import check_target
from orchestrator.validation.connections import check_connections
from orchestrator.validation.contradictions import check_contradictions
from orchestrator.validation.findings import ANYTHING, Findings
from orchestrator.validation.flow import check_flow
from orchestrator.validation.headers import check_headers
from orchestrator.validation.hosts import check_hosts
from orchestrator.validation.ignores import apply_ignores
from orchestrator.validation.limits import check_limits
from orchestrator.validation.loops import check_loops
from orchestrator.validation.masking import mask_secrets
from orchestrator.validation.memories import check_memories
from orchestrator.validation.mentions import Mentions
from orchestrator.validation.names import check_names
from orchestrator.validation.order import check_order
from orchestrator.validation.parallel import check_parallel
from orchestrator.validation.recording import check_recording
from orchestrator.validation.secrets import check_secrets
from orchestrator.validation.timers import check_timers
from orchestrator.validation.toplevel import ConfigReader, read_one
from orchestrator.validation.transcripts import check_transcripts
from orchestrator.validation.untrusted import check_untrusted
from orchestrator.validation.unused import check_events, check_unused
from orchestrator.validation.variables import check_variables
from orchestrator.validation.waits import check_waits

__all__ = ["Checked", "Settings", "check_document", "check_file", "check_text", "load_config"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a check is done.

    `variables` is the environment: with it, plugins, callables and variables are checked too.
    `unknown_actions` lets actions pass that are not installed here. `target` names the runtime
    that will carry the calls. `texts` are read in place of the files of these names.
    """

    variables: Mapping[str, str] | None = None
    unknown_actions: bool = False
    target: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: all problems in reading order, and the config when there is one.

    `skipped` names the unknown actions that were let pass; `reads_environment` says that variables
    were checked too.
    """

    file: str
    config: Config | None
    problems: tuple[Problem, ...]
    documents: tuple[Document, ...]
    skipped: frozenset[str] = frozenset()
    reads_environment: bool = False

    @property
    def is_good(self) -> bool:
        """Whether the config may take a call."""
        return self.config is not None and not any(p.is_error for p in self.problems)


def check_file(path: str | Path, settings: Settings | None = None) -> Checked:
    """Read and check a config file.

    Raises:
        EnvironmentFailure: the file cannot be read.
    """
    settings = settings or Settings()
    with _collector_paused():
        return check_document(read_one(path, settings.texts), settings)


def check_text(text: str, file: str = "<text>", settings: Settings | None = None) -> Checked:
    """Check a config given as text; includes are looked for beside `file`."""
    with _collector_paused():
        return check_document(parse_document(text, file), settings)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No garbage collection while trees are built that all stay alive: a third of the time.

    What a file can make is bounded (1 MB, 100,000 values), so memory is too. What was made goes to
    the old generation unsearched, unless the host has frozen objects of its own.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on and not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
        if was_on:
            gc.enable()


def check_document(document: Document, settings: Settings | None = None) -> Checked:
    """Check a document and the files that it includes."""
    settings = settings or Settings()
    findings = Findings()
    reader = ConfigReader(
        Registry(),
        findings,
        accepts_unknown=settings.unknown_actions,
        checks_environment=settings.variables is not None,
        texts=settings.texts,
    )
    config = reader.read(document)
    if config is not None:
        _check_config(config, reader, settings)
    problems = _without_followers(findings.sorted())
    if any(d.ignores for d in reader.documents):
        from orchestrator.codes import CODES

        problems = Findings(apply_ignores(problems, reader.documents, frozenset(CODES))).sorted()
    problems = mask_secrets(problems)
    documents, skipped = tuple(reader.documents), frozenset(reader.skipped)
    is_strict = settings.variables is not None
    return Checked(document.file, config, problems, documents, skipped, is_strict)


def _without_followers(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """The problems without those of a line whose value was not read because of its tag."""
    tagged = {(p.position.file, p.position.line) for p in problems if p.code == "HK022"}
    return tuple(
        p
        for p in problems
        if p.code == "HK022" or (p.position.file, p.position.line) not in tagged
    ) if tagged else problems  # fmt: skip


def _check_config(config: Config, reader: ConfigReader, settings: Settings) -> None:
    """The checks of meaning; what a broken part may have given is not said to be missing."""
    findings, is_strict = reader.findings, settings.variables is not None
    is_whole = reader.is_whole and not reader.skipped
    has_all_steps = is_whole and reader.has_all_steps
    lost = reader.lost if reader.is_whole else ANYTHING  # what a missing file may have given
    texts = [document.text for document in reader.documents]
    mentions = Mentions.of(reader.documents, findings, is_whole=is_whole)
    if not check_names(config, findings, lost=lost, mentions=mentions):
        return  # the checks below follow chains
    check_callables(config, findings, is_strict=is_strict)
    check_variables(config, findings, settings.variables, texts)
    check_braces(config, findings, texts)
    visits = check_flow(config, findings, lost, settings.variables)
    check_waits(config, findings)
    check_order(config, findings)
    check_contradictions(config, findings)
    check_loops(config, findings)
    check_timers(config, findings, has_all_steps=has_all_steps)
    check_parallel(config, findings, has_all_steps=has_all_steps)
    if has_all_steps:
        check_recording(config, findings)
    check_secrets(config, visits, findings)
    check_untrusted(config, visits, findings)
    check_hosts(config, findings)
    check_headers(config, findings)
    check_limits(config, findings)
    check_transcripts(config, findings)
    check_connections(config, findings)
    if is_whole:
        mentions = Mentions.of(reader.documents, findings, is_whole=is_whole)
        check_unused(config, findings, mentions)
        check_events(config, findings, mentions)
        check_memories(config, findings, mentions)
    if settings.target is not None:
        check_target(config, settings.target, findings)


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
