"""All findings in one go: what one mistake says nothing about is found beside it, and no more."""

from __future__ import annotations

import pytest

from orchestrator.validation import check_text

#: A mistake in a value that nothing else depends on.
ELSEWHERE = """
version: 1
session:
  call_start:
    - say: {text: "Hello", interruptible: no}
"""


def codes(text: str) -> list[str]:
    return [problem.code for problem in check_text(text.lstrip()).problems]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("  user_turn: [{recording: pause}]", "HK409"),
        ("  user_turn: [{silence_timer: {after: 5s, steps: [{say: hm}]}}]", "HK407"),
        ("  user_turn: [{cancel_timer: capp}]", "HK237"),
        ("  user_turn: [{parallel: [{wait: 1s}]}]", "HK416"),
        ("  user_turn: [{emit: custom.nobody}]", "HK239"),
        (
            "  user_turn: [{remember: {key: plan}}, {log: \"{{ memory.get('plann') | default('') }}\"}]",
            "HK243",
        ),
        ("vars: {zone: UTC}", "HK231"),
        ("chains: {goodbye: [{say: bye}]}", "HK232"),
        ("connections: {crm: {kind: sql, url: 'sqlite:///people.db'}}", "HK233"),
    ],
)
def test_a_mistake_elsewhere_hides_nothing(more: str, code: str) -> None:
    """What is said of the whole config is said beside an error that is not about it."""
    assert codes(ELSEWHERE.rstrip() + "\n" + more) == ["HK115", code]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        # a resume that could not be read is not missing
        ("  user_turn: [{recording: pause}]\n  dtmf: [{recordin: resume}]", ["HK221"]),
        ("  user_turn: [{recording: pause}]\n  dtmf: [{recording: resum}]", ["HK107"]),
        ("  user_turn: [{recording: pause}]\n  dtmf: [{run: card}]", ["HK223"]),
        ("  user_turn: [{recording: pause}]\n  dtmf: {recording: resume}", ["HK103"]),
        # an end that could not be read is an end
        ("  user_turn: [{silence_timer: {after: 5s, steps: [{end_cal: x}]}}]", ["HK221"]),
        ("  user_turn: [{silence_timer: {after: 5s, max: no, steps: [{say: hm}]}}]", ["HK103"]),
        # a timer whose name could not be read
        (
            "  user_turn: [{cancel_timer: cap}, {timr: {name: cap, after: 5s, steps: []}}]",
            ["HK221"],
        ),
        # uses that could not be read, or are misspelt
        ("  user_turn: [{logg: '{{ vars.zone }}'}]\nvars: {zone: UTC}", ["HK221"]),
        ("  user_turn: [{log: '{{ vars.zon }}'}]\nvars: {zone: UTC}", ["HK202"]),
        ("  user_turn: [{run: goodby}]\nchains: {goodbye: [{say: bye}]}", ["HK223"]),
        ("  user_turn: [{emit: custom.order}]\n  custom.order: {say: hi}", ["HK103"]),
    ],
)
def test_no_finding_follows_from_what_could_not_be_read(more: str, expected: list[str]) -> None:
    """A part that was not read may be what gives or uses a name, or ends what is open."""
    assert [c for c in codes(ELSEWHERE.rstrip() + "\n" + more) if c != "HK115"] == expected
