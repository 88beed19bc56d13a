"""`connections`: named outside systems -> `ConnectionConfig`, or findings."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.action import Fault
from orchestrator.config import Config, ConnectionConfig
from orchestrator.document import YamlMap
from orchestrator.errors import ActionFailed, EnvironmentFailure
from orchestrator.events import near_miss
from orchestrator.options import convert, field_name
from orchestrator.registry import ConnectionType, Registry
from orchestrator.validation.auth import check_auth
from orchestrator.validation.findings import Findings
from orchestrator.validation.option_values import check_value
from orchestrator.validation.reader import Reader
from orchestrator.validation.sections import named, refuse_templates
from orchestrator.validation.words import listed
from orchestrator.values import Value, parse_value

__all__ = ["check_connections", "read_connections"]


def read_connections(
    reader: Reader,
    root: YamlMap,
    registry: Registry,
    known: dict[str, ConnectionConfig],
    lost: set[str],
) -> None:
    """Read the section into `known`; names of broken ones go into `lost`."""
    section = "connections"
    for name, node in named(reader, root, section, known, lambda found: found.place, lost):
        options = reader.mapping(node, name, "a mapping with `kind`")
        found = _kind(reader, node, name, options, registry) if options is not None else None
        if options is not None and found is not None:
            values = _options(reader, node, name, options, found)
            known[name] = ConnectionConfig(name, found, values, reader.place(node, name))
        else:
            lost.add(name)


def _kind(
    reader: Reader, node: YamlMap, name: str, options: YamlMap, registry: Registry
) -> ConnectionType | None:
    kinds, kind = registry.connection_kinds(), None
    if "kind" not in options:
        others = [key for key in options if not near_miss(key, ("kind",))]
        reader.check_keys(options, ("kind", *others), f"connection `{name}`")
    if "kind" in options:
        kind = reader.choice(options, "kind", kinds)
    else:
        message, hint = f"connection `{name}` needs `kind`", f"one of {', '.join(kinds)}"
        reader.at(node, name, "HK104", message, on="key", help=hint)
    try:
        return registry.connection(kind) if kind else None
    except EnvironmentFailure as error:
        reader.at(options, "kind", "HK625", str(error))
        return None


def _options(
    reader: Reader, node: YamlMap, name: str, options: YamlMap, found: ConnectionType
) -> dict[str, Value]:
    table = found.options
    required = [n for n, option in table.items() if option.is_required]
    what = f"connection `{name}`"
    is_unclear = reader.check_keys(options, ("kind", *table), what, required=required)
    missing = [n for n in required if n not in options]
    if missing and not is_unclear:
        message = f"connection `{name}` needs {listed(missing)}"
        reader.at(node, name, "HK104", message, on="key", help=table[missing[0]].doc or None)
    values: dict[str, Value] = {}
    for key, option in table.items():
        check = check_auth if key == "auth" else check_value
        if key in options and check(reader, options, key, option):
            value = parse_value(options[key], reader.place(options, key))
            words = f"`{key}`: connections are opened when the config is loaded"
            if not refuse_templates(reader, value, words):
                values[key] = value
    return values


def check_connections(config: Config, findings: Findings) -> None:
    """Ask each connection what is wrong with the options that are written out.

    What depends on the environment is asked when that is known; see `--check-env`.
    """
    known = {problem.position for problem in findings.sorted()}
    for connection in config.connections.values():
        for fault in _faults(config, connection):
            value = connection.options.get(fault.option)
            if value is not None and value.place.value_position not in known:
                findings.at(value.place, "HK123", fault.message, help=fault.help)


def _faults(config: Config, connection: ConnectionConfig) -> Iterator[Fault]:
    table = connection.type.options
    given = {
        field_name(name): value.raw
        for name, value in connection.options.items()
        if not any(inner.parts for inner in value.walk()) and not value.items
    }
    written = connection.place.container[connection.place.key]
    if any(name in table and name not in connection.options for name in written):
        return  # an option is broken, which is reported
    needed = {field_name(name) for name, option in table.items() if option.is_required}
    if not needed <= set(given):
        return
    try:
        options = {
            field_name(name): convert(table[name], given[field_name(name)])
            for name in connection.options
            if field_name(name) in given
        }
    except ActionFailed:
        return
    yield from connection.type.cls(**options).faults(config.allow)
