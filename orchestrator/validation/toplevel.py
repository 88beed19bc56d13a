"""A config's files: documents and their includes -> `Config`, or findings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.config import (
    Allow,
    ChainConfig,
    Config,
    ConnectionConfig,
    Defaults,
    HookConfig,
    LimitConfig,
)
from orchestrator.document import Document, YamlMap, parse_document, read_document
from orchestrator.errors import EnvironmentFailure
from orchestrator.events import RUNNER_EVENTS, SESSION_EVENTS, Scope, near_miss
from orchestrator.registry import Registry
from orchestrator.validation.connections import read_connections
from orchestrator.validation.findings import Findings, related
from orchestrator.validation.hooks import read_hooks
from orchestrator.validation.limits import read_limits
from orchestrator.validation.plugins import Plugins, load_plugins
from orchestrator.validation.reader import Reader
from orchestrator.validation.sections import (
    read_allow,
    read_chains,
    read_defaults,
    read_vars,
)
from orchestrator.validation.steps import StepReader
from orchestrator.values import Place, Value

__all__ = ["TOP_KEYS", "ConfigReader", "read_one"]

TOP_KEYS = (
    "version", "name", "description", "vars", "connections", "defaults", "allow", "limits",
    "privacy", "plugins", "include", "chains", "runner", "session",
)  # fmt: skip
_SCOPES: tuple[Scope, ...] = ("runner", "session")

#: Findings of the YAML layer after which the tree is not what was meant: nothing follows from it.
_BREAKS = frozenset({"HK013", "HK017", "HK018"})

#: Files that one config may be made of.
MAX_FILES = 100


@dataclass(slots=True)
class ConfigReader:
    """Reads a config and what it includes."""

    registry: Registry
    findings: Findings
    accepts_unknown: bool = False
    checks_environment: bool = False
    texts: Mapping[str, str] = field(default_factory=dict)
    documents: list[Document] = field(default_factory=list)
    vars: dict[str, Value] = field(default_factory=dict)
    connections: dict[str, ConnectionConfig] = field(default_factory=dict)
    chains: dict[str, ChainConfig] = field(default_factory=dict)
    hooks: list[HookConfig] = field(default_factory=list)
    defaults: Defaults = field(default_factory=Defaults)
    allow: Allow = field(default_factory=Allow)
    limits: Mapping[str, LimitConfig] = field(default_factory=dict)
    privacy: Any = "open"
    plugins: Plugins = field(default_factory=Plugins)
    skipped: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    included: dict[str, Place] = field(default_factory=dict)
    is_whole: bool = True
    has_all_steps: bool = True
    _counts: dict[tuple[Scope, str], int] = field(default_factory=dict)

    def read(self, document: Document) -> Config | None:
        """The config of a document and its includes; None when its YAML cannot be read."""
        self._read_file(document, ())
        if document.root is None:
            return None
        name = document.root.get("name")
        description = document.root.get("description")
        digest = hashlib.sha256("\0".join(d.text for d in self.documents).encode(errors="replace"))
        return Config(
            name=name if isinstance(name, str) else Path(document.file).stem,
            file=document.file,
            digest=digest.hexdigest()[:12],
            registry=self.registry,
            description=description if isinstance(description, str) else "",
            vars=self.vars,
            connections=self.connections,
            defaults=self.defaults,
            allow=self.allow,
            limits=self.limits,
            privacy=self.privacy,
            chains=self.chains,
            hooks=tuple(self.hooks),
            files=tuple(d.file for d in self.documents),
        )

    def _read_file(self, document: Document, trail: tuple[str, ...]) -> None:
        self.documents.append(document)
        for problem in document.problems:
            self.findings.add(problem)
        root = document.root
        if root is None or any(p.code in _BREAKS for p in document.problems):
            self.is_whole = False
            return
        reader = Reader(document, self.findings)
        self._check_top(reader, root)
        self.privacy = reader.choice(root, "privacy", ("open", "redact"), self.privacy)
        strict = self.checks_environment
        load_plugins(reader, root, self.registry, self.plugins, is_strict=strict)
        self._includes(reader, root, (*trail, _real(document.file)))
        read_vars(reader, root, self.vars, self.lost)
        read_connections(reader, root, self.registry, self.connections, self.lost)
        self.allow = read_allow(reader, root, self.allow)
        is_open = bool(self.plugins.missing) or self.accepts_unknown
        self.limits = read_limits(reader, root, self.registry, self.limits, accepts_unknown=is_open)
        self.defaults = read_defaults(reader, root, self.registry, self.defaults)
        steps = StepReader(
            reader,
            self.registry,
            accepts_unknown=self.accepts_unknown,
            defaults=self.defaults.options,
            plugins=self.plugins,
            skipped=self.skipped,
            lost=self.lost,
        )
        read_chains(reader, root, steps, self.chains)
        for scope in _SCOPES:
            self.hooks.extend(read_hooks(steps, root, scope, self._counts))
        self.has_all_steps &= not reader.is_torn

    # --- the top keys

    def _check_top(self, reader: Reader, root: YamlMap) -> None:
        extras = [key for key in root if key.startswith("x-")]
        events = {key for key in root if key in (*RUNNER_EVENTS, *SESSION_EVENTS)}
        if events and root.get("session", ()) is not None:
            for key in events:
                hint = f"write it under `session:`, as `session: {{{key}: [...]}}`"
                reader.unknown_key(root, key, TOP_KEYS, "the config", hint)
            extras += events
        reader.check_keys(root, (*TOP_KEYS, *extras), "the config")
        self._check_version(reader, root)
        reader.text(root, "name")
        reader.text(root, "description")

    def _check_version(self, reader: Reader, root: YamlMap) -> None:
        if "version" not in root:
            self._report_no_version(reader, root)
            return
        version = root["version"]
        if version == 1 and isinstance(version, int) and not isinstance(version, bool):
            return
        hint = "this orchestrator reads `version: 1`"
        if isinstance(version, int) and version > 1:
            hint += "; a newer one reads this file"
        elif str(version) in ("1", "1.0", "v1"):
            hint = "write `version: 1`, without quotes"
        message = f"version {json.dumps(version)} is not known here"
        reader.at(root, "version", "HK102", message, help=hint)

    def _report_no_version(self, reader: Reader, root: YamlMap) -> None:
        position = reader.document.position(root.span)
        if root:
            position = reader.document.key_position(root, next(iter(root)))
        message, hint = "`version: 1` is missing", "begin the file with `version: 1`"
        self.findings.add(reader.document.problem("HK101", message, position, help=hint))

    # --- includes

    def _includes(self, reader: Reader, root: YamlMap, trail: tuple[str, ...]) -> None:
        paths = reader.items(root, "include", "a list of files") if "include" in root else None
        self.is_whole &= paths is not None or "include" not in root
        for index, name in enumerate(paths or ()):
            if not isinstance(name, str) or not name:
                reader.wrong_type(paths, index, "the path of a file")
            else:
                self._include(reader, paths, index, trail)

    def _include(self, reader: Reader, paths: Any, index: int, trail: tuple[str, ...]) -> None:
        name = paths[index]
        path = Path(reader.document.file).parent / name
        fault = self._include_fault(path, name, trail)
        if fault:
            before = self.included.get(_real(path))
            where = [related(before, "included here first", on="value")] if before else []
            is_read = any(_real(document.file) == _real(path) for document in self.documents)
            self.is_whole &= is_read or _real(path) in trail
            reader.at(paths, index, "HK224", fault, related=where)
            return
        self.included[_real(path)] = reader.place(paths, index)
        try:
            document = read_one(path, self.texts)
        except EnvironmentFailure as error:
            self.is_whole = False
            folder = path.parent
            siblings = [p.name for p in folder.glob("*.y*ml")] if folder.is_dir() else []
            near = near_miss(path.name, siblings)
            hint = f"did you mean {near!r}?" if near else "paths are relative to the file"
            reader.at(paths, index, "HK224", str(error), help=hint)
            return
        self._read_file(document, trail)

    def _include_fault(self, path: Path, name: str, trail: tuple[str, ...]) -> str | None:
        if Path(name).is_absolute() or re.match(r"[A-Za-z]:[\\/]", name):
            return f"{name!r} is an absolute path: a config includes files of its own project"
        if not name.endswith((".yaml", ".yml")):
            # What is found in a file is quoted, in a review of a stranger's change too.
            return f"{name!r} is no file to include: its name ends in `.yaml` or `.yml`"
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
            return f"{name!r} is no ordinary file"
        if _real(path) in trail:
            return f"{name!r} includes itself"
        if any(_real(document.file) == _real(path) for document in self.documents):
            return f"{name!r} is included twice"
        if len(self.documents) >= MAX_FILES:
            return f"a config has at most {MAX_FILES} files"
        return None


def read_one(path: str | Path, texts: Mapping[str, str]) -> Document:
    """A file as a document; one of `texts` is read in its place.

    Raises:
        EnvironmentFailure: the file cannot be read.
    """
    text = texts.get(str(path))
    return read_document(path) if text is None else parse_document(text, str(path))


def _real(path: Any) -> str:
    try:
        return str(Path(path).resolve())
    except (OSError, ValueError):  # a null character, a loop of links
        return str(path)
