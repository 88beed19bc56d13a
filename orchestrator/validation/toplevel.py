"""The top level of a config: documents and their includes -> `Config`, or problems."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
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
)
from orchestrator.document import Document, YamlMap, read_document
from orchestrator.errors import EnvironmentFailure, OrchestratorError, ProblemList
from orchestrator.events import (
    RUNNER_EVENTS,
    SESSION_EVENTS,
    TIMED_WORDS,
    Scope,
    find_event,
    near_miss,
)
from orchestrator.registry import Registry
from orchestrator.validation.option_values import check_value
from orchestrator.validation.reader import Reader
from orchestrator.validation.steps import StepReader
from orchestrator.values import Value, parse_value

__all__ = ["TOP_KEYS", "ConfigReader"]

TOP_KEYS = (
    "version",
    "name",
    "description",
    "vars",
    "connections",
    "defaults",
    "allow",
    "privacy",
    "plugins",
    "include",
    "chains",
    "runner",
    "session",
)

#: Files that one config may be made of.
MAX_FILES = 100


@dataclass(slots=True)
class ConfigReader:
    """Reads a config and what it includes."""

    registry: Registry
    accepts_unknown: bool = False
    checks_environment: bool = False
    problems: ProblemList = field(default_factory=ProblemList)
    documents: list[Document] = field(default_factory=list)
    vars: dict[str, Value] = field(default_factory=dict)
    connections: dict[str, ConnectionConfig] = field(default_factory=dict)
    chains: dict[str, ChainConfig] = field(default_factory=dict)
    hooks: list[HookConfig] = field(default_factory=list)
    defaults: Defaults = field(default_factory=Defaults)
    allow: Allow = field(default_factory=Allow)
    privacy: Any = "open"
    missing_plugins: list[str] = field(default_factory=list)

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
            privacy=self.privacy,
            chains=self.chains,
            hooks=tuple(self.hooks),
            files=tuple(d.file for d in self.documents),
        )

    # --- files

    def _read_file(self, document: Document, trail: tuple[str, ...]) -> None:
        self.documents.append(document)
        for problem in document.problems:
            self.problems.add(problem)
        root = document.root
        if root is None:
            return
        reader = Reader(document, self.problems)
        self._version(reader, root)
        reader.check_keys(root, TOP_KEYS, "the config", help=_event_hint(root))
        reader.text(root, "name")
        reader.text(root, "description")
        self.privacy = reader.choice(root, "privacy", ("open", "redact"), self.privacy)
        self._plugins(reader, root)
        self._includes(reader, root, (*trail, _real(document.file)))
        self._vars(reader, root)
        self._connections(reader, root)
        self._allow(reader, root)
        steps = StepReader(reader, self.registry, accepts_unknown=self.accepts_unknown)
        self._defaults(reader, root, steps)
        self._chains(reader, root, steps)
        self._scopes(reader, root, steps)

    def _version(self, reader: Reader, root: YamlMap) -> None:
        if "version" not in root:
            reader.report(
                "HK101",
                "`version: 1` is missing",
                reader.key_position(root, next(iter(root))),
                help="begin the file with `version: 1`",
            )
        elif root["version"] != 1 or isinstance(root["version"], bool):
            reader.report(
                "HK102",
                f"version {root['version']!r} is not known here",
                reader.value_position(root, "version"),
                help="this orchestrator reads `version: 1`",
            )

    def _includes(self, reader: Reader, root: YamlMap, trail: tuple[str, ...]) -> None:
        if "include" not in root:
            return
        paths = reader.items(root, "include", "a list of files")
        for i, name in enumerate(paths or ()):
            assert paths is not None  # noqa: S101 - narrows the type for the checker
            position = reader.value_position(paths, i)
            if not isinstance(name, str):
                reader.wrong_type(paths, i, "the path of a file")
                continue
            path = Path(reader.document.file).parent / name
            if _real(path) in trail:
                reader.report("HK224", f"{name!r} includes itself", position)
            elif any(_real(d.file) == _real(path) for d in self.documents):
                reader.report("HK224", f"{name!r} is included twice", position)
            elif len(self.documents) >= MAX_FILES:
                reader.report("HK224", f"a config has at most {MAX_FILES} files", position)
            else:
                self._include(reader, path, position, trail)

    def _include(self, reader: Reader, path: Path, position: Any, trail: tuple[str, ...]) -> None:
        try:
            document = read_document(path)
        except EnvironmentFailure as error:
            siblings = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
            near = near_miss(path.name, siblings)
            reader.report(
                "HK224", str(error), position, help=f"did you mean {near!r}?" if near else None
            )
            return
        self._read_file(document, trail)

    # --- sections

    def _plugins(self, reader: Reader, root: YamlMap) -> None:
        if "plugins" not in root:
            return
        names = reader.items(root, "plugins", "a list of modules")
        for i, name in enumerate(names or ()):
            assert names is not None  # noqa: S101 - narrows the type for the checker
            if not isinstance(name, str):
                reader.wrong_type(names, i, "the name of a module")
                continue
            try:
                self.registry.load_plugin(name)
            except OrchestratorError as error:
                self.missing_plugins.append(name)
                severity: Any = "error" if self.checks_environment else "warning"
                reader.report(
                    "HK603", str(error), reader.value_position(names, i), severity=severity
                )

    def _vars(self, reader: Reader, root: YamlMap) -> None:
        for name, node in self._named(reader, root, "vars", self.vars):
            value = parse_value(node[name], reader.place(node, name))
            for text, _template, offset in value.templates():
                reader.report(
                    "HK118",
                    f"`{name}`: vars are read when the config is loaded",
                    text.place.inside(text.raw, offset, 2),
                    help="no templates here; `${NAME}` reads the environment",
                )
            self.vars[name] = value

    def _connections(self, reader: Reader, root: YamlMap) -> None:
        for name, node in self._named(reader, root, "connections", self.connections):
            options = reader.mapping(node, name, "a mapping with `kind`")
            if options is None:
                continue
            kinds = self.registry.connection_kinds()
            if "kind" not in options:
                reader.report(
                    "HK104",
                    f"connection `{name}` needs `kind`",
                    reader.key_position(node, name),
                    help=f"one of {', '.join(kinds)}",
                )
                continue
            kind = reader.choice(options, "kind", kinds)
            found = self.registry.connection(kind) if kind else None
            if found is not None:
                values = self._connection_options(reader, name, node, options, found)
                self.connections[name] = ConnectionConfig(
                    name, found, values, reader.place(node, name)
                )

    def _connection_options(
        self, reader: Reader, name: str, node: YamlMap, options: YamlMap, found: Any
    ) -> dict[str, Value]:
        reader.check_keys(options, ("kind", *found.options), f"connection `{name}`")
        missing = [n for n, o in found.options.items() if o.is_required and n not in options]
        if missing:
            reader.report(
                "HK104",
                f"connection `{name}` needs `{missing[0]}`",
                reader.key_position(node, name),
            )
        values = {}
        for key, option in found.options.items():
            if key in options and check_value(reader, options, key, option):
                value = parse_value(options[key], reader.place(options, key))
                for text, _template, offset in value.templates():
                    reader.report(
                        "HK118",
                        f"`{key}`: connections are opened when the config is loaded",
                        text.place.inside(text.raw, offset, 2),
                        help="no templates here; `${NAME}` reads the environment",
                    )
                values[key] = value
        return values

    def _allow(self, reader: Reader, root: YamlMap) -> None:
        node = reader.mapping(root, "allow") if "allow" in root else None
        if node is None:
            return
        reader.check_keys(node, ("numbers", "prefixes", "hosts"), "`allow`")
        found = {key: _texts(reader, node, key) for key in ("numbers", "prefixes", "hosts")}
        self.allow = Allow(
            self.allow.numbers + found["numbers"],
            self.allow.prefixes + found["prefixes"],
            self.allow.hosts + found["hosts"],
        )

    def _defaults(self, reader: Reader, root: YamlMap, steps: StepReader) -> None:
        node = reader.mapping(root, "defaults") if "defaults" in root else None
        if node is None:
            return
        options: dict[str, dict[str, Value]] = {}
        general = ("timeout", "on_error", "retry")
        for key in node:
            if key in general:
                continue
            action = steps.find_action(key)
            if action is None:
                reader.check_keys(
                    node, (*general, *self.registry.action_names()), "`defaults`", only=[key]
                )
                continue
            written = reader.mapping(node, key, "a mapping of options")
            if written is not None:
                reader.check_keys(written, action.options, f"the defaults of `{key}`")
                options[key] = {
                    name: parse_value(written[name], reader.place(written, name))
                    for name, option in action.options.items()
                    if name in written and check_value(reader, written, name, option)
                }
        self.defaults = Defaults(
            timeout=reader.duration(node, "timeout", low=0.001) or self.defaults.timeout,
            on_error=reader.choice(node, "on_error", ("stop", "continue"), self.defaults.on_error),
            retry=steps.retry(node) or self.defaults.retry,
            options={**self.defaults.options, **options},
        )

    def _chains(self, reader: Reader, root: YamlMap, steps: StepReader) -> None:
        for name, node in self._named(reader, root, "chains", self.chains):
            block = steps.block(node, name, f"chain.{name}")
            self.chains[name] = ChainConfig(name, reader.place(node, name), block)

    def _named(
        self, reader: Reader, root: YamlMap, section: str, known: Any
    ) -> Iterator[tuple[str, YamlMap]]:
        """The entries of a section of named things; a name defined twice is a problem."""
        node = reader.mapping(root, section) if section in root else None
        for name in node or ():
            assert node is not None  # noqa: S101 - narrows the type for the checker
            if not name.replace("_", "a").replace("-", "a").isalnum() or not name[0].isalpha():
                reader.report(
                    "HK119",
                    f"{name!r} is no name for one of `{section}`",
                    reader.key_position(node, name),
                    help="use letters, digits and _; begin with a letter",
                )
            elif name in known:
                first = known[name].place
                related = first.document.related(first.key_position, "the first one")
                reader.report(
                    "HK227",
                    f"`{name}` is defined twice in `{section}`",
                    reader.key_position(node, name),
                    related=[related],
                )
            else:
                yield name, node

    def _scopes(self, reader: Reader, root: YamlMap, steps: StepReader) -> None:
        scopes: tuple[Scope, ...] = ("runner", "session")
        for scope in scopes:
            node = reader.mapping(root, scope, "a mapping of events") if scope in root else None
            for event in node or ():
                assert node is not None  # noqa: S101 - narrows the type for the checker
                if find_event(scope, event) is None:
                    _unknown_event(reader, node, event, scope)
                    continue
                start = len([h for h in self.hooks if (h.scope, h.event) == (scope, event)])
                self.hooks.extend(steps.hooks(node, event, scope, first=start))


def _unknown_event(reader: Reader, node: YamlMap, event: str, scope: Scope) -> None:
    valid = RUNNER_EVENTS if scope == "runner" else (*SESSION_EVENTS, "custom.<name>")
    other: Scope = "session" if scope == "runner" else "runner"
    near = near_miss(event, valid)
    if event in TIMED_WORDS:
        hint = f"silence and time are timers: use `{TIMED_WORDS[event]}` in `call_start`"
    elif find_event(other, event) is not None:
        hint = f"it is an event of `{other}:`"
    else:
        hint = f"did you mean `{near}`?" if near else f"one of {', '.join(valid)}"
    code = "HK235" if event in TIMED_WORDS else "HK220"
    reader.report(
        code, f"unknown {scope} event `{event}`", reader.key_position(node, event), help=hint
    )


def _texts(reader: Reader, node: YamlMap, key: str) -> tuple[str, ...]:
    if key not in node:
        return ()
    items = reader.items(node, key, "a list of texts")
    found = []
    for i, item in enumerate(items or ()):
        assert items is not None  # noqa: S101 - narrows the type for the checker
        if isinstance(item, str) and item:
            found.append(item)
        elif isinstance(item, int) and not isinstance(item, bool):
            reader.report(
                "HK116",
                f"`{key}`: an unquoted number loses its `+` and zeros",
                reader.value_position(items, i),
                help=f"write '+{item}' in quotes",
            )
        else:
            reader.wrong_type(items, i, "text")
    return tuple(found)


def _event_hint(root: YamlMap) -> str | None:
    events = [k for k in root if k in (*RUNNER_EVENTS, *SESSION_EVENTS)]
    return "events belong under `runner:` or `session:`" if events else None


def _real(path: Any) -> str:
    return str(Path(path).resolve())
