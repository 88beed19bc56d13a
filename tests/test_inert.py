"""Caller speech and remote answers are data: never evaluated, whatever they contain."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.replay import play
from orchestrator.templates import parse_template
from tests.kit import make_plan, script

CONFIG = """
session:
  user_turn:
    - do:
        - set: {last: "{{ event.text }}"}
        - say: "{{ event.text }}"
        - say: "heard: {{ data.last }}"
    - when: event.text is matching('never said by anybody')
      do: [{end_call: matched}]
    - remember: {key: "k:{{ event.text }}", value: "{{ event.text }}"}
    - say: "{{ memory.get('k:' ~ event.text) }}"
"""

NASTY = st.sampled_from(
    [
        "{{ 7 * 7 }}", "{% for x in y %}", "{# c #}", "${HOME}", "$${X}", "{{ vars }}", "'; drop table",
        "- webhook: {url: x}", "!!python/object:os.system", "&a *a", "(a+)+$", "\\x00", "\x00\x1b[31m",
        "\u202e", "\ud83d", "{{ call.__class__ }}", "a" * 5000, "\r\nX-Evil: 1", "<script>", "%s %n",
    ]
)  # fmt: skip
SPEECH = st.lists(st.one_of(NASTY, st.text(max_size=40)), min_size=1, max_size=4).map("".join)
PLAN = make_plan(CONFIG)


@settings(max_examples=150, deadline=None)
@given(SPEECH)
def test_what_the_caller_says_comes_out_as_it_went_in(text: str) -> None:
    """Through data, templates, conditions, memory and speech, nothing of it is evaluated."""
    played = play(PLAN, script([{"t": 1, "user_turn": text}]))
    expected = [t for t in (text, f"heard: {text}", text) if t.strip()]
    assert [command.text for _, command in played.commands] == expected
    assert played.data["last"] == text
    assert played.state == "hangup"


@settings(max_examples=100, deadline=None)
@given(st.recursive(SPEECH | st.integers() | st.none() | st.booleans(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SPEECH, inner, max_size=3), max_leaves=8))  # fmt: skip
def test_what_another_system_answers_is_data(answer: object) -> None:
    """An answer of any shape is kept and read as it is."""
    plan = make_plan(
        "session:\n  user_turn: [{set: {copy: '{{ data.answer | default(none) }}'}}]\n"
    )
    call = {"id": "c", "data": {"answer": answer}}
    played = play(plan, script([{"t": 1, "user_turn": "x"}], call))
    assert played.data["copy"] == answer


def test_a_rendered_template_is_not_parsed_again() -> None:
    """The output of a template is text, also where it looks like a template."""
    template = parse_template("{{ event.text }}")

    class Scope:
        event = {"text": "{{ 1 + 1 }}"}

    assert template.compile()(Scope()) == "{{ 1 + 1 }}"  # type: ignore[arg-type]
