"""Where a call goes is the author's word: at validation, and again when the step runs."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.runtime import SendDigits, SetLanguage, Transfer
from orchestrator.validation import check_text
from tests.kit import did, lines, run
from tests.test_validation_flow import codes

CALLED = "+442079460123"


def on_turn(*steps: str, top: str = "") -> str:
    """A config that runs steps when the caller spoke."""
    body = "".join(f"        - {step}\n" for step in steps)
    return f"{top}\nsession:\n  user_turn:\n    - name: h\n      do:\n{body}"


def said(text: str, *steps: str, top: str = "", **more: Any) -> Any:
    """Play one turn of a caller."""
    events = [{"t": 1, "event": "user_turn", "text": text}]
    return run(on_turn(*steps, top=top), events, **more)


ALLOWS = [
    ('escalate_transfer: {number: "{{ event.text }}", allow: ["{{ event.text }}"]}',),
    ('set: {ok: ["{{ event.text }}"]}',
     'escalate_transfer: {number: "{{ event.text }}", allow: "{{ data.ok }}"}'),
]  # fmt: skip


@pytest.mark.parametrize("steps", ALLOWS)
def test_a_list_of_who_may_be_dialled_is_never_the_callers(steps: tuple[str, ...]) -> None:
    """Validation refuses it, and the step that ran all the same dials nobody."""
    assert "HK513" in codes(on_turn(*steps))
    played = said(CALLED, *steps)
    assert not did(played, "transfer")
    assert [line["status"] for line in lines(played, step="escalate_transfer")] == ["failed"]


def test_a_list_in_the_defaults_is_checked_too() -> None:
    """An option that comes from `defaults` is the step's all the same."""
    top = 'defaults: {escalate_transfer: {allow: ["{{ event.text }}"]}}'
    assert "HK513" in codes(on_turn('escalate_transfer: {number: "+15550123"}', top=top))


def test_a_number_in_the_defaults_is_no_word_of_the_author() -> None:
    """`defaults` may hold a template as well."""
    top = 'defaults: {escalate_transfer: {number: "{{ event.text }}"}}'
    played = said(CALLED, "escalate_transfer: {mode: cold}", top=top)
    assert not did(played, "transfer")


def test_a_list_may_be_read_from_vars() -> None:
    """They are known at load."""
    top = f"vars: {{ok: ['{CALLED}']}}"
    step = 'escalate_transfer: {number: "{{ event.text }}", allow: "{{ vars.ok }}"}'
    assert codes(on_turn(step, top=top)) == []
    assert did(said(CALLED, step, top=top), "transfer")


CHOICES = [
    ("{{ '+15550100' if event.text == 'buy' else '+15550101' }}", "+15550100"),
    ("{{ vars.lines[event.text] | default('+15550101') }}", "+15550100"),
    ("{{ data.line }}", "+15550100"),
]


@pytest.mark.parametrize(("number", "dialled"), CHOICES)
def test_a_number_chosen_among_those_written_out_is_dialled(number: str, dialled: str) -> None:
    """A template that chooses is the author's word, as it is for queues."""
    top, line = "vars: {lines: {buy: '+15550100'}}", "set: {line: '{{ vars.lines.buy }}'}"
    steps = (line, f'escalate_transfer: {{number: "{number}"}}')
    assert codes(on_turn(*steps, top=top)) == []
    assert [target for _, target in did(said("buy", *steps, top=top), "transfer")] == [dialled]


OUTSIDE = ["call.instructions", "call.agent_id", "call.language | default('x')"]


@pytest.mark.parametrize("source", OUTSIDE)
def test_a_number_that_came_with_the_call_is_not_dialled(source: str) -> None:
    """Whoever placed the call may not say whom this one dials."""
    steps = (f'escalate_transfer: {{number: "{{{{ {source} }}}}"}}',)
    assert "HK510" in codes(on_turn(*steps))
    call = {"id": "c", "instructions": CALLED, "agent_id": CALLED, "language": CALLED}
    assert not did(said("human", *steps, call=call), "transfer")


TARGETS = [
    ('escalate_transfer: {queue: "{{ TEXT }}"}', Transfer, "queues"),
    ('escalate_transfer: {agent_id: "{{ TEXT }}"}', Transfer, "agents"),
    ('send_dtmf: "{{ TEXT }}"', SendDigits, "digits"),
    ('set_language: {to: "{{ TEXT }}"}', SetLanguage, "languages"),
]


@pytest.mark.parametrize(("step", "command", "kind"), TARGETS)
@pytest.mark.parametrize(
    "source", ["event.text", "data.brought | default('99')", "memory.get('x')"]
)
def test_what_the_config_does_not_write_out_is_refused_when_it_runs(
    step: str, command: type, kind: str, source: str
) -> None:
    """Whatever way the text came: speech, data of the call, memory."""
    step = step.replace("TEXT", source)
    call = {"id": "c", "data": {"brought": "12"}}
    remember = "remember: {key: x, value: '12'}"
    played = said("12", remember, step, call=call)
    assert not [given for _, given in played.commands if isinstance(given, command)]
    failed = lines(played, status="failed")
    assert len(failed) == 1
    assert f"allow: {{{kind}: [...]}}" in failed[0]["error"]


@pytest.mark.parametrize(
    "queue",
    ["{{ 'vip' if call.turns == 9 else 'support' }}", "{{ vars.queues[event.text] }}",
     "{{ data.chosen }}", "{{ data.nothing | default('support') }}",
     "{{ {'a': 'support'}[event.text] }}", "sup{{ 'port' if true else 'x' }}"],
)  # fmt: skip
def test_a_choice_between_texts_of_the_config_goes_through(queue: str) -> None:
    """In the template, in `vars`, and in what `set` writes."""
    top = "vars: {queues: {a: support, b: vip}}"
    steps = ("set: {chosen: support}", f'escalate_transfer: {{queue: "{queue}"}}')
    assert [target for _, target in did(said("a", *steps, top=top), "transfer")] == ["support"]


@pytest.mark.parametrize(("entry", "goes"), [("desk-*", True), ("desk-7", True), ("desk", False)])
def test_a_list_lets_values_from_outside_through(entry: str, goes: bool) -> None:
    """As they are written, or by their beginning."""
    step = 'escalate_transfer: {queue: "{{ event.text }}"}'
    top = f"allow: {{queues: ['{entry}']}}"
    assert codes(on_turn(step, top=top)) == []
    assert bool(did(said("desk-7", step, top=top), "transfer")) is goes


def test_a_key_that_was_pressed_is_one_of_a_few() -> None:
    """A caller cannot make up another."""
    text = 'session: {dtmf: [{send_dtmf: "{{ event.digit }}"}]}'
    played = run(text, [{"t": 1, "event": "dtmf", "digit": "5"}])
    assert played.commands == ((1.0, SendDigits("5")),)


@pytest.mark.parametrize(
    "step",
    ['escalate_transfer: {queue: "{{ data.brought | default(\'x\') }}"}',
     'escalate_transfer: {number: "{{ data.brought | default(\'+15550123\') }}"}',
     'place_call: {number: "+15550123", connection: tel, from: "{{ event.text }}"}'],
)  # fmt: skip
def test_data_of_a_call_and_shown_numbers_are_found_at_validation(step: str) -> None:
    """Whoever places a call chooses what it brings."""
    top = "connections: {tel: {kind: http, base_url: 'https://tel.example.com'}}"
    found = [p.code for p in check_text(f"version: 1\n{on_turn(step, top=top)}").problems]
    assert {"HK510", "HK513"} & set(found)
