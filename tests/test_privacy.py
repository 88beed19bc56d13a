"""`privacy: redact`: what a caller says, who calls and what is known of them is in no output."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import textwrap
from pathlib import Path
from typing import Any

import pytest

from orchestrator.callscript import CallScript, TimedEvent
from orchestrator.config import Allow
from orchestrator.connections.sql import SqlConnection
from orchestrator.errors import ActionFailed, words
from orchestrator.journal import DirectorySink, Redactor
from orchestrator.memory import Memory
from orchestrator.replay import play
from orchestrator.runtime import CallEvent
from orchestrator.runtimes.script_bridge import PlayOptions
from orchestrator.testing.given import Given
from tests.kit import make_plan
from tests.servers import services
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
        plan = make_plan("privacy: redact\n" + textwrap.dedent(text))
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


def test_the_source_of_a_sound_shows_only_what_the_author_wrote() -> None:
    """A path that holds a caller's words is masked; one that is written out is not."""
    text = """
    session:
      user_turn:
        - play: "https://a.example.com/hold.mp3"
        - play: "https://a.example.com/{{ event.text }}.mp3"
        - set: {reached: true}
    """
    shown = outputs(text, "user_turn", {"text": SPOKEN})
    assert "https://a.example.com/hold.mp3" in shown
    assert "Lovelace" not in shown


@pytest.mark.parametrize("event", ["tool_call", "tool_result"])
def test_keys_that_came_from_elsewhere_are_in_no_output(event: str) -> None:
    """Of the data of a call, and of a tool's arguments and result; those the config reads are."""
    text = f"""
    session:
      {event}:
        - log: "{{{{ data.tier | default('-') }}}}"
        - set: {{reached: true, kept: "{{{{ event.{"args" if event == "tool_call" else "result"} }}}}"}}
    """
    fields = {"name": "look", "args": {SPOKEN: 1, "tier": {SPOKEN: 2}}}
    if event == "tool_result":
        fields = {"name": "look", "result": {SPOKEN: {SPOKEN: 2}}, "ok": True}
    shown = outputs(text, event, fields, {"data": {SPOKEN: "x", "tier": "gold"}})
    assert "cnry" not in shown
    assert '"tier"' in shown
    assert "gold" not in shown


def test_the_id_and_the_address_of_a_delivery_stay_readable() -> None:
    """By them an operator finds it again: neither tells of a person."""
    text = """
    session:
      user_turn:
        - webhook: {url: "https://a.example.com/in", json: {said: "{{ event.text }}"}}
          background: false
          save: sent
        - set: {reached: true}
    """
    sent = "msg_" + "0" * 32
    given = {"webhook": {"id": sent}}
    shown = outputs(text, "user_turn", {"text": SPOKEN}, given=given)
    assert "https://a.example.com/in" in shown
    assert "Lovelace" not in shown
    assert sent in json.dumps(Redactor(is_private=True).personal({"id": sent}))


def test_other_packages_do_not_tell_while_debugging(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A statement's values, in the log of the database's driver."""
    file = tmp_path / "crm.db"
    with sqlite3.connect(file) as database:
        database.execute("create table people (name text)")
    database.close()

    async def main() -> None:
        crm = SqlConnection.open("crm", SqlConnection(url=f"sqlite:///{file}"), services(), Allow())
        await crm.write("people", {"name": SPOKEN}, {"name": f"{SPOKEN}!"})
        await crm.aclose()

    with caplog.at_level(logging.DEBUG):
        for name in ("aiosqlite", "sqlalchemy.engine.Engine", "websockets.server"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        asyncio.run(main())
        logging.getLogger("websockets.server").debug("< TEXT %r", SPOKEN)
        logging.getLogger("aiosqlite").warning("a warning goes through")
    assert "cnry" not in caplog.text
    assert "a warning goes through" in caplog.text


def test_our_own_words_say_why_it_failed() -> None:
    """What an HTTP status, a limit or virtual time says holds nothing that anybody said."""
    text = """
    connections: {away: {kind: http, base_url: "http://127.0.0.1:1"}}
    limits: {webhooks: {per_call: 1}}
    session:
      user_turn:
        - webhook: {connection: away, path: "/c/{{ event.text }}", json: {}}
        - http: {connection: away, path: "/c/{{ event.text }}"}
        - {python: "tests.hooks:plain_function", id: p}
        - {http: {connection: away, path: "/x"}, on_error: continue}
        - {webhook: {connection: away, path: /c, json: {}}, on_error: continue}
        - set: {reached: true}
    """
    shown = outputs(text, "user_turn", {"text": SPOKEN})
    assert "virtual time, nothing leaves the machine" in shown
    assert "the limit `webhooks: per_call` is reached" in shown
    assert "tests.hooks:plain_function" in shown
    assert "Lovelace" not in shown


def test_a_status_is_shown_and_what_a_plugin_says_is_not() -> None:
    """Errors that others word may quote what was said."""
    redactor = Redactor(["s3cret"], is_private=True)
    assert (
        redactor.personal(words(ActionFailed("HTTP 503, s3cret", is_plain=True))) == "HTTP 503, ***"
    )
    assert redactor.personal(words(ActionFailed("no Lovelace"))) == "[11 characters]"
    assert redactor.personal(f"{words(ActionFailed('x', is_plain=True))} Ada") == "[5 characters]"
