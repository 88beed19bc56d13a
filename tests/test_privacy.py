"""`privacy: redact`: what a caller says, who calls and what is known of them is in no output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.callscript import CallScript, TimedEvent
from orchestrator.journal import DirectorySink
from orchestrator.memory import Memory
from orchestrator.replay import play
from orchestrator.runtime import CallEvent
from orchestrator.runtimes.script_bridge import PlayOptions
from orchestrator.testing.given import Given
from tests.kit import make_plan
from tests.test_hostile_events import EVENTS, FIELDS, logged, text_for, usual

SPOKEN = "cnry my name is Ada Lovelace"
NUMBER = "+442079460777"
#: Fields whose words are of the protocol, not of a person: they stay readable.
_OF_PROTOCOL = {"state", "who", "outcome", "stage", "severity", "code", "source", "name", "value", "ok", "ms",
                "interrupted", "language"}  # fmt: skip
PERSONAL = [
    (event, field)
    for event, field, shape in FIELDS
    if field not in _OF_PROTOCOL and not shape.choices
]


def outputs(
    text: str,
    event: str,
    fields: dict[str, Any],
    header: dict[str, Any] | None = None,
    given: Any = None,
) -> str:
    """Journal and logs of one call."""
    script = CallScript(
        {"id": "c1", **(header or {})}, (TimedEvent(1.0, CallEvent(event, fields)),), "t"
    )
    options = PlayOptions(linger=4)
    with logged() as found:
        plan = make_plan("privacy: redact\n" + text)
        played = play(plan, script, options=options, memory=Memory(), given=Given(given or {}))
    assert played.data.get("reached") is True
    lines = [json.dumps(line, ensure_ascii=False) for line in played.lines]
    return "\n".join([*lines, *found["text"], *found["json"]])


@pytest.mark.parametrize(("event", "field"), PERSONAL, ids=[f"{e}.{f}" for e, f in PERSONAL])
def test_a_personal_field_is_in_no_output(event: str, field: str) -> None:
    """Said, logged, set, remembered, raised, emitted, as a name, as a reason, as a number."""
    spec = EVENTS[event]
    assert spec is not None
    fields = {**{n: usual(s) for n, s in spec.fields.items()}, field: SPOKEN}
    shown = outputs(text_for(event, f"(event.{field} | default('-'))"), event, fields)
    assert "cnry" not in shown
    assert "Lovelace" not in shown


@pytest.mark.parametrize("read", ["call.user_number", "(data.x | default('-'))"])
def test_who_calls_and_what_is_known_of_them_is_in_no_output(read: str) -> None:
    """The number and the data that a call brings."""
    shown = outputs(
        text_for("user_turn", read),
        "user_turn",
        {"text": "x"},
        {"user_number": NUMBER, "data": {"x": SPOKEN}},
    )
    assert "Lovelace" not in shown
    assert NUMBER not in shown
    assert NUMBER[1:] not in shown


def test_what_another_system_knows_of_a_caller_is_in_no_output() -> None:
    """A record that is looked up, used, and sent on."""
    text = """
connections: {crm: {kind: http, base_url: "https://crm.example"}}
session:
  user_turn:
    - name: all
      do:
        - crm_lookup: {connection: crm, path: "/c", query: {phone: "{{ call.user_number }}"}}
          id: look
          save: customer
        - say: "Hello {{ data.customer.name | default('you') }}"
        - webhook: {connection: crm, path: /in, json: "{{ data.customer }}"}
        - if: "(data.customer.name | default('x')) == 'nobody'"
          then: [{log: x}]
        - http: {connection: crm, path: "/c/{{ data.customer.name | default('x') }}", headers: {x-name: "{{ data.customer.name | default('x') }}"}}
          on_error: continue
        - set: {reached: true}
    - when: "(data.customer.name | default('x')) == 'nobody'"
      do: [{log: never}]
"""
    given = {"look": {"name": SPOKEN, "phone": NUMBER}, "http": {"error": f"HTTP 404 for {SPOKEN}"}}
    shown = outputs(text, "user_turn", {"text": "x"}, {"user_number": NUMBER}, given)
    assert "Lovelace" not in shown
    assert NUMBER[1:] not in shown


def test_a_folder_of_journals_that_we_make_is_its_owners(tmp_path: Path) -> None:
    """Nobody else enters it; one that was there stays as it is."""
    DirectorySink(tmp_path / "journals").close()
    assert (tmp_path / "journals").stat().st_mode & 0o777 == 0o700
