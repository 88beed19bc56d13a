"""Hostile text through every event field and every fact of a call: it arrives as it is, or fails.

The fields come from the table of events, so a new field is covered by itself.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.callscript import CallScript, TimedEvent
from orchestrator.events import SESSION_EVENTS, find_event
from orchestrator.journal import dump_line
from orchestrator.logs import logging_set_up, set_up_logging
from orchestrator.memory import Memory
from orchestrator.plain import whole_text
from orchestrator.plan import Plan
from orchestrator.replay import Played, play
from orchestrator.runtime import CallEvent
from orchestrator.runtimes.script_bridge import PlayOptions
from orchestrator.testing.given import Given
from orchestrator.written import printable
from tests import hostile
from tests.kit import make_plan

_MADE_BY_RUNTIME = ("call_start", "call_end")
EVENTS = {
    name: find_event("session", name) for name in SESSION_EVENTS if name not in _MADE_BY_RUNTIME
}
FIELDS = [
    (name, field, shape)
    for name, event in EVENTS.items() if event is not None
    for field, shape in {**event.fields, **event.extras}.items()
]  # fmt: skip
#: Characters that a template renders; a step that would render more fails.
MOST = 65_536
FACTS = ("user_number", "agent_id", "session_id", "instructions", "data")


def text_for(event: str, read: str) -> str:
    """A config that uses a value in every way that needs no outside system."""
    return f"""
session:
  {event}:
    - name: set
      do: [{{set: {{kept: "{{{{ {read} }}}}"}}}}]
    - name: say
      do: [{{say: "{{{{ {read} }}}}"}}]
    - name: log
      do: [{{log: {{message: "heard {{{{ {read} }}}}", fields: {{value: "{{{{ {read} }}}}"}}}}}}]
    - name: remember
      do: [{{remember: {{key: "k {{{{ {read} }}}}", value: "{{{{ {read} }}}}"}}}}, {{set: {{again: "{{{{ memory.get('k ' ~ {read}) }}}}"}}}}]
    - name: match
      when: "({read} | string) is matching('(a+)+never said by anybody$')"
      do: [{{end_call: matched}}]
    - name: error
      do: [{{stop: "{{{{ {read} }}}}"}}]
    - name: raise
      do: [{{python: {{call: "tests.hooks:boom_with", args: {{words: "{{{{ {read} }}}}"}}}}}}]
    - name: emit
      do: [{{emit: {{event: custom.echo, fields: {{value: "{{{{ {read} }}}}"}}}}}}]
    - name: timer
      do: [{{timer: {{name: "{{{{ {read} }}}}", after: 1s, steps: [{{log: late}}]}}}}]
    - name: number
      do: [{{escalate_transfer: {{number: "{{{{ {read} }}}}", allow: ["+442079460123"]}}}}]
    - name: last
      do: [{{set: {{reached: true}}}}]
  custom.echo:
    - set: {{echoed: "{{{{ event.value }}}}"}}
"""  # fmt: skip


def plan_for(event: str, read: str) -> Plan:
    return make_plan(text_for(event, read))


PLANS = {
    (name, field): plan_for(name, f"(event.{field} | default('-'))") for name, field, _ in FIELDS
}
FACT_PLANS = {
    name: plan_for("user_turn", f"call.{name}" if name != "data" else "(data.x | default('-'))")
    for name in FACTS
}


@contextmanager
def logged() -> Iterator[dict[str, list[str]]]:
    """The lines that the log writes meanwhile, as text and as JSON, one for each record."""
    logger = logging.getLogger("orchestrator")
    found: dict[str, list[str]] = {}
    streams, handlers, count = {}, [], []
    with logging_set_up({}, io.StringIO()):
        for form in ("text", "json"):
            streams[form] = io.StringIO(newline="")
            wanted = {"ORCHESTRATOR_LOG": form, "ORCHESTRATOR_LOG_LEVEL": "debug"}
            set_up_logging(wanted, streams[form])
            handlers += logger.handlers
        counter = logging.Handler()
        counter.emit = count.append  # type: ignore[method-assign]
        logger.handlers[:] = [*handlers, counter]
        yield found
    for form, stream in streams.items():
        found[form] = stream.getvalue().split("\n")
        assert found[form].pop() == ""
        assert len(found[form]) == len(count), found[form]


def check_logs(found: Mapping[str, list[str]]) -> None:
    """No line does anything to a terminal, and each JSON line is one object."""
    for line in (*found["text"], *found["json"]):
        assert printable(line) == line, ascii(line)
        line.encode()
    for line in found["json"]:
        assert isinstance(json.loads(line), dict)


def check_journal(played: Played) -> None:
    """Every line is one line of JSON in valid UTF-8 that says what the record said."""
    for line in played.lines:
        text = dump_line(line)
        assert "\n" not in text
        sent = whole_text(json.dumps(line, ensure_ascii=False, default=str))
        assert json.loads(text.encode()) == json.loads(sent)


def carry(
    plan: Plan, event: str, fields: Mapping[str, Any], header: Mapping[str, Any] | None = None
) -> Played:
    events = (TimedEvent(1.0, CallEvent(event, fields)), TimedEvent(5.0, CallEvent("hangup", {})))
    call = CallScript({"id": "c1", **(header or {})}, events, "test")
    return play(plan, call, options=PlayOptions(), memory=Memory())


def check(played: Played, value: Any, found: Mapping[str, list[str]]) -> None:
    """The call went on to its end; the value is where it was put, and nothing came of it."""
    assert played.final_state == "ended"
    assert played.state == "hangup", played.state
    assert played.data["reached"] is True
    if len(str(value)) <= MOST and not isinstance(value, float):
        assert played.data["kept"] == value
        assert played.data["echoed"] == value
        if isinstance(value, str):
            assert played.data["again"] == value
            said = [c.text for _, c in played.commands if c.name == "say"]  # type: ignore[union-attr]
            assert said == ([value] if value.strip() else [])
    dialled = {c.target for _, c in played.commands if c.name == "transfer"}  # type: ignore[union-attr]
    assert dialled <= {"+442079460123"}
    check_journal(played)
    check_logs(found)


@pytest.mark.parametrize(
    ("event", "field", "shape"), FIELDS, ids=[f"{e}.{f}" for e, f, _ in FIELDS]
)
def test_hostile_text_in_every_event_field(event: str, field: str, shape: Any) -> None:
    """Set, said, logged, remembered, matched, emitted, used as a name and as a number to dial."""
    others = {name: st.just(usual(s)) for name, s in EVENTS[event].fields.items()}  # type: ignore[union-attr]

    @settings(
        max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.fixed_dictionaries({**others, field: hostile.of_shape(shape).filter(_ends_no_call)}))
    def run(fields: Mapping[str, Any]) -> None:
        with logged() as found:
            played = carry(PLANS[event, field], event, fields)
        check(played, fields[field], found)

    run()


def _ends_no_call(value: Any) -> bool:
    """A fatal error of the runtime ends the call, as it says."""
    return bool(value != "fatal")


def usual(shape: Any) -> Any:
    """A harmless value of a shape."""
    return (
        shape.choices[0]
        if shape.choices
        else {"text": "x", "number": 1, "int": 1, "bool": True}.get(shape.kind, {})
    )


@pytest.mark.parametrize("value", hostile.NASTY, ids=ascii)
def test_each_known_trick_as_speech(value: str) -> None:
    """The whole list, each by itself."""
    with logged() as found:
        played = carry(PLANS["user_turn", "text"], "user_turn", {"text": value})
    check(played, value, found)


@pytest.mark.parametrize("value", hostile.LONG, ids=lambda v: ascii(v[:3]))
@pytest.mark.parametrize(
    ("event", "field"), [("user_turn", "text"), ("error", "message"), ("tool_result", "result")]
)
def test_a_million_characters(event: str, field: str, value: str) -> None:
    """They pass, or fail the step that cannot hold them; the call goes on."""
    fields = {n: usual(s) for n, s in EVENTS[event].fields.items()}  # type: ignore[union-attr]
    with logged() as found:
        played = carry(PLANS[event, field], event, {**fields, field: value})
    check(played, value, found)


@pytest.mark.parametrize("name", FACTS)
def test_hostile_text_in_the_facts_of_a_call(name: str) -> None:
    """Who calls, for which agent, with which data."""

    @settings(
        max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(hostile.TEXT.filter(bool))  # what is empty has a default
    def run(value: str) -> None:
        header = {name: {"x": value} if name == "data" else value}
        with logged() as found:
            played = carry(FACT_PLANS[name], "user_turn", {"text": "x"}, header)
        check(played, value, found)

    run()


@settings(max_examples=40, deadline=None, database=None)
@given(
    hostile.JSON.filter(
        lambda v: not (isinstance(v, dict) and set(v) & {"error", "each", "answer", "after"})
    )
)
def test_hostile_answers_that_a_test_gives(value: Any) -> None:
    """`given` is data, whatever it looks like."""
    plan = make_plan("""
session:
  user_turn:
    - http: {url: "https://x.example/"}
      save: answer
    - set: {copy: "{{ data.answer | default(none) }}"}
""")
    call = CallScript({"id": "c"}, (TimedEvent(1.0, CallEvent("user_turn", {"text": "x"})),), "t")
    played = play(plan, call, options=PlayOptions(linger=1), given=Given({"http": value}))
    step = next(line for line in played.lines if line.get("step") == "http")
    if step["status"] == "ok":
        assert played.data.get("answer") == value
        assert played.data.get("copy") == value
    check_journal(played)


@settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(entries=st.dictionaries(hostile.TEXT, hostile.JSON, max_size=4))
def test_a_memory_file_keeps_any_key_and_value(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, Any]
) -> None:
    """Nothing that is remembered stops the file, and what it keeps comes back as it was."""
    path = tmp_path_factory.mktemp("memory") / "m.db"
    memory = Memory(path)
    for key, value in entries.items():
        memory.remember(key, value)
    memory.remember("last", 1)
    memory.close()
    assert memory.failures == 0
    again = Memory(path)
    assert {key: again.get(key) for key in entries} == entries
    assert again.get("last") == 1
    again.close()
