"""`limits`: how often steps of a kind may run, in a call and over all calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.config import Config, LimitConfig
from orchestrator.document import YamlMap
from orchestrator.durations import format_duration
from orchestrator.limits import MOST, Rate
from orchestrator.registry import ActionType, Registry
from orchestrator.validation.findings import Findings, related
from orchestrator.validation.reader import Reader

__all__ = ["check_limits", "read_limits"]

_KEYS = ("per_call", "all_calls")
_RATE_KEYS = ("count", "within")
_EXAMPLE = "write `{count: 60, within: 1m}`"


def read_limits(
    reader: Reader,
    root: YamlMap,
    registry: Registry,
    before: Mapping[str, LimitConfig],
    *,
    accepts_unknown: bool,
) -> Mapping[str, LimitConfig]:
    """The limits of a file, over those of the files that it includes.

    `accepts_unknown` lets kinds pass that a missing plugin may define.
    """
    node = reader.mapping(root, "limits") if "limits" in root else None
    if node is None:
        return before
    kinds = _kinds(registry.at_hand())
    if any(kind not in kinds for kind in node):
        kinds = _kinds(registry)
    found = dict(before)
    if not accepts_unknown:
        reader.check_keys(node, kinds, "`limits`")
    for kind in node:
        if kind in kinds:
            found[kind] = _read_limit(reader, node, kind, found.get(kind, LimitConfig()))
    return found


def _kinds(actions: Iterable[ActionType]) -> list[str]:
    return sorted({action.cls.limited.kind for action in actions if action.cls.limited})


def _read_limit(reader: Reader, root: YamlMap, kind: str, before: LimitConfig) -> LimitConfig:
    node = reader.mapping(root, kind, f"a mapping such as `{{{_KEYS[0]}: 3}}`")
    if node is None:
        return before
    reader.check_keys(node, _KEYS, f"the limit `{kind}`")
    per_call = reader.integer(node, "per_call", low=0, high=MOST)
    all_calls = _read_rate(reader, node) if "all_calls" in node else None
    places = {key: reader.place(node, key) for key in _KEYS if key in node}
    return LimitConfig(
        before.per_call if per_call is None else per_call,
        all_calls or before.all_calls,
        {**before.places, **places},
    )


def _read_rate(reader: Reader, node: YamlMap) -> Rate | None:
    rate = node["all_calls"]
    if not isinstance(rate, YamlMap):
        message = "`all_calls` is a count within a time"
        reader.at(node, "all_calls", "HK103", message, help=_EXAMPLE)
        return None
    is_unclear = reader.check_keys(rate, _RATE_KEYS, "`all_calls`", required=_RATE_KEYS)
    missing = [key for key in _RATE_KEYS if key not in rate]
    if missing:
        message = f"`all_calls` needs `{missing[0]}`"
        if not is_unclear:
            reader.at(node, "all_calls", "HK104", message, on="key", help=_EXAMPLE)
        return None
    count = reader.integer(rate, "count", low=0, high=MOST)
    within = reader.duration(rate, "within", low=1.0)
    return Rate(count, within) if count is not None and within is not None else None


def check_limits(config: Config, findings: Findings) -> None:
    """Report limits that no step can pass, and those that another one makes meaningless."""
    used = {
        step.action.cls.limited.kind: step
        for step in reversed(config.steps())
        if step.action is not None and step.action.cls.limited is not None
    }
    for kind, written in config.limits.items():
        step = used.get(kind)
        if step is None or step.action is None:
            continue
        limit = config.limit_of(step.action)
        assert limit is not None  # noqa: S101 - `used` has limited steps only
        closed = [
            (key, place)
            for key, place in written.places.items()
            if (limit.per_call if key == "per_call" else limit.all_calls and limit.all_calls.count)
            == 0
        ]
        for key, place in closed:
            message = f"`{kind}: {key}` lets no step through"
            findings.at(
                place, "HK514", message, severity="warning",
                help="raise it, or take the steps out that it stops",
                related=[related(step.place, "the first of them")],
            )  # fmt: skip
        if not closed:
            _check_order(kind, written, findings)


def _check_order(kind: str, written: LimitConfig, findings: Findings) -> None:
    """Who writes both does not mean that one call may have more than all calls together."""
    per_call, rate = written.per_call, written.all_calls
    if per_call is None or rate is None or per_call <= rate.count:
        return
    time = format_duration(rate.within)
    message = f"`{kind}`: one call may have {per_call}, all calls together {rate.count} in {time}"
    place, hint = written.places["per_call"], "lower `per_call`, or raise `all_calls`"
    findings.at(place, "HK109", message, help=hint)
