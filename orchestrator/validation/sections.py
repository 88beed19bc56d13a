"""The sections of a config beside hooks: vars, allow, defaults, chains."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.config import Allow, ChainConfig, Defaults
from orchestrator.document import YamlMap
from orchestrator.errors import OrchestratorError
from orchestrator.events import near_miss
from orchestrator.registry import Registry
from orchestrator.validation.findings import related
from orchestrator.validation.hosts import host_advice
from orchestrator.validation.option_values import check_value
from orchestrator.validation.reader import Reader
from orchestrator.validation.settings import read_retry
from orchestrator.validation.steps import StepReader
from orchestrator.values import Value, parse_value

__all__ = [
    "named",
    "read_allow",
    "read_chains",
    "read_defaults",
    "read_vars",
    "refuse_templates",
]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_VAR_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_GENERAL = ("timeout", "on_error", "retry")
_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "numbers": (re.compile(r"\+[1-9][0-9]{6,14}"), "'+15550100'"),
    "prefixes": (re.compile(r"\+[1-9][0-9]{0,13}"), "'+1555'"),
    "hosts": (re.compile(r".+"), "crm.example.com"),
    "queues": (re.compile(r"\S(.*\S)?"), "support, or desk-* for all that begin with desk-"),
    "agents": (re.compile(r"\S(.*\S)?"), "billing-agent, or billing-* for all that begin so"),
    "digits": (re.compile(r"[0-9A-D#wW]{1,64}\*?|\*"), "'1w2#', or '*' for all keys"),
    "languages": (re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*(-?\*)?|\*"), "de-DE, or de-*"),
}


def named(
    reader: Reader, root: YamlMap, section: str, known: Mapping[str, Any], place_of: Any,
    lost: set[str],
) -> Iterator[tuple[str, YamlMap]]:  # fmt: skip
    """The entries of a section of named things; a name defined twice is a finding.

    A name that is none goes into `lost`: of vars as `vars.<name>`.
    """
    node = reader.mapping(root, section) if section in root else None
    form = _VAR_NAME if section == "vars" else _NAME
    for name in node if node is not None else ():
        assert node is not None  # noqa: S101 - narrows the type for the checker
        if not form.fullmatch(name):
            hint = "use letters, digits and _; begin with a letter"
            message = f"{name!r} is no name for one of `{section}`"
            reader.at(node, name, "HK119", message, on="key", help=hint)
            lost.add(f"vars.{name}" if section == "vars" else name)
        elif name in known:
            first = [related(place_of(known[name]), "the first one")]
            message = f"`{name}` is defined twice in `{section}`"
            reader.at(node, name, "HK227", message, on="key", related=first)
        else:
            yield name, node


def refuse_templates(reader: Reader, value: Value, message: str) -> bool:
    """Report templates in a value that is read when the config is loaded; whether it has any."""
    hint = "no templates here; `${NAME}` reads the environment"
    for text, template, offset in value.templates():
        start = offset + max(template.source.find("{{"), 0)
        on = text.place.inside(text.raw, start, 2)
        reader.findings.at(text.place, "HK118", message, on=on, help=hint)
    return value.is_template


def read_vars(reader: Reader, root: YamlMap, known: dict[str, Value], lost: set[str]) -> None:
    """`vars`: constants, with the environment in them."""
    for name, node in named(reader, root, "vars", known, lambda value: value.place, lost):
        value = parse_value(node[name], reader.place(node, name))
        refuse_templates(reader, value, f"`{name}`: vars are read when the config is loaded")
        known[name] = value


def read_allow(reader: Reader, root: YamlMap, before: Allow) -> Allow:
    """`allow`: numbers, prefixes and hosts, added to those of other files."""
    node = reader.mapping(root, "allow") if "allow" in root else None
    if node is None:
        return before
    reader.check_keys(node, _FORMS, "`allow`")
    found = {key: _texts(reader, node, key) for key in _FORMS}
    return Allow(**{key: getattr(before, key) + texts for key, texts in found.items()})


def _texts(reader: Reader, node: YamlMap, key: str) -> tuple[str, ...]:
    items = reader.items(node, key, "a list of texts") if key in node else None
    form, example = _FORMS[key]
    found: list[str] = []
    for index, item in enumerate(items or ()):
        if isinstance(item, int) and not isinstance(item, bool):
            message = f"`{key}`: an unquoted number loses its `+` and its zeros"
            reader.at(items, index, "HK116", message, help=f"write '+{item}' in quotes")
        elif not isinstance(item, str):
            reader.wrong_type(items, index, "text")
        else:
            found.append(item)  # a list is there: nothing follows from what is wrong in it
            advice = "" if form.fullmatch(item) else f"write it as {example}"
            if "${" in item:
                advice = f"write it out, as {example}: the environment is not read here"
            elif key == "hosts":
                advice = host_advice(item)
            if advice:
                message = f"{item!r} does not belong into `{key}`"
                reader.at(items, index, "HK420", message, help=advice)
    return tuple(found)


def read_defaults(reader: Reader, root: YamlMap, registry: Registry, before: Defaults) -> Defaults:
    """`defaults`: settings of all steps, and default options by action."""
    node = reader.mapping(root, "defaults") if "defaults" in root else None
    if node is None:
        return before
    options = dict(before.options)
    for key in list(node):
        if key not in _GENERAL:
            written = _default_options(reader, node, key, registry)
            options.update({key: written} if written is not None else {})
    return Defaults(
        timeout=reader.duration(node, "timeout", low=0.001) or before.timeout,
        on_error=reader.choice(node, "on_error", ("stop", "continue"), before.on_error),
        retry=read_retry(reader, node) or before.retry,
        options=options,
    )


def _default_options(
    reader: Reader, node: YamlMap, key: str, registry: Registry
) -> dict[str, Value] | None:
    try:
        action = registry.action(key)
    except OrchestratorError:
        return None
    if action is None:
        names = (*_GENERAL, *registry.action_names())
        near = near_miss(key, names)
        hint = None if near else "`timeout`, `on_error`, `retry`, or the name of an action"
        reader.unknown_key(node, key, names, "`defaults`", hint)
        return None
    written = reader.mapping(node, key, "a mapping of options")
    if written is None:
        return None
    reader.check_keys(written, action.options, f"the defaults of `{key}`")
    table = {name: option for name, option in action.options.items() if name in written}
    return {
        name: parse_value(written[name], reader.place(written, name))
        for name, option in table.items()
        if check_value(reader, written, name, option)
    }


def read_chains(
    reader: Reader, root: YamlMap, steps: StepReader, known: dict[str, ChainConfig]
) -> None:
    """`chains`: named lists of steps."""
    for name, node in named(reader, root, "chains", known, lambda chain: chain.place, steps.lost):
        block = steps.block(node, name, f"chain.{name}")
        known[name] = ChainConfig(name, reader.place(node, name), block)
