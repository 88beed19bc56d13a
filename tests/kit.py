"""Play a config, given as text, through a call in virtual time, and look at what came of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.callscript import CallScript, event_from_mapping
from orchestrator.compiler import compile_config
from orchestrator.plan import Plan
from orchestrator.replay import Played, play
from orchestrator.runtime import ALL_CAPABILITIES
from orchestrator.runtimes.script_bridge import PlayOptions
from orchestrator.validation import check_text

CALL = {"id": "call-1", "user_number": "+15550100"}


def make_plan(text: str, variables: Mapping[str, str] | None = None) -> Plan:
    """The plan of a config without its first line, `version: 1`."""
    checked = check_text("version: 1\n" + textwrap.dedent(text), "test.yaml")
    assert checked.config is not None
    # Later codes are about time, order and safety: the runtime must bear what they refuse.
    errors = [str(p) for p in checked.problems if p.is_error and p.code < "HK400"]
    assert not errors, errors
    return compile_config(checked.config, variables or {})


def script(events: Iterable[Mapping[str, Any]], call: Mapping[str, Any] = CALL) -> CallScript:
    """A call script of events in the short form."""
    return CallScript(dict(call), tuple(event_from_mapping(e) for e in events), "test.jsonl")


def run(
    text: str,
    events: Iterable[Mapping[str, Any]] = (),
    *,
    linger: float = 120.0,
    without: Iterable[str] = (),
    call: Mapping[str, Any] = CALL,
    variables: Mapping[str, str] | None = None,
    transfer: Mapping[str, str] | None = None,
    **options: Any,
) -> Played:
    """Play events through a config on a runtime that lacks the capabilities in `without`."""
    play_options = PlayOptions(
        capabilities=ALL_CAPABILITIES - frozenset(without),
        linger=linger,
        transfer_outcome=transfer or {},
    )
    plan = make_plan(text, variables)
    return play(plan, script(events, call), options=play_options, **options)


def did(played: Played, name: str) -> list[tuple[float, Any]]:
    """When a command of this name went out, and its main field."""
    main = {"say": "text", "end_call": "reason", "transfer": "target", "recording": "change"}
    return [
        (line["t"], line.get(main.get(name, "text")))
        for line in played.lines
        if line.get("do") == name
    ]


def lines(played: Played, **wanted: Any) -> list[dict[str, Any]]:
    """The journal lines that have all of these fields."""
    return [line for line in played.lines if all(line.get(k, ...) == v for k, v in wanted.items())]


def steps(played: Played, word: str) -> list[tuple[float, str]]:
    """When a step ended, and its status."""
    return [(line["t"], line["status"]) for line in played.lines if line.get("step") == word]
