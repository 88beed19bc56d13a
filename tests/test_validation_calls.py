"""Time, order and what a call can bear."""

from __future__ import annotations

import textwrap

import pytest

from orchestrator.validation import Settings, check_text, load_config
from orchestrator.validation.waits import worst_case


def codes(text: str, target: str | None = None) -> list[str]:
    text = "version: 1\n" + textwrap.dedent(text).lstrip("\n")
    return [p.code for p in check_text(text, "t.yaml", Settings(target=target)).problems]


def wait_of(text: str) -> float:
    checked = check_text("version: 1\n" + textwrap.dedent(text).lstrip("\n"), "t.yaml")
    assert checked.config is not None
    return sum(worst_case(checked.config).values())


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        ("[{python: 'a:b'}]", 2.0),
        ("[{python: 'a:b', timeout: 800ms}]", 0.8),
        ("[{python: 'a:b', background: true}]", 0.0),
        ("[{say: hi}, {log: hi}]", 0.0),
        ("[{wait: 2500ms}]", 2.5),
        ("[{parallel: [{python: 'a:b', timeout: 1s}, {python: 'a:c', timeout: 500ms}]}]", 1.0),
        ("[{if: call.turns > 1, then: [{python: 'a:b'}], else: [{wait: 1s}]}]", 2.0),
        ("[{python: 'a:b', timeout: 1s, on_error: [{python: 'a:c', timeout: 1s}]}]", 2.0),
        ("[{timer: {after: 1s, steps: [{python: 'a:b'}]}}]", 0.0),
        ("[{escalate_transfer: {queue: a}, on_error: [{python: 'a:b'}]}]", 0.0),
    ],
)
def test_the_worst_wait_of_an_event(steps: str, seconds: float) -> None:
    """What waits for somebody else counts, with its whole deadline."""
    assert wait_of(f"session: {{user_turn: [{{name: h, do: {steps}}}]}}") == seconds


def test_a_hook_is_cut_by_its_timeout() -> None:
    """A hook never takes longer than its own timeout."""
    text = "session: {user_turn: [{name: h, timeout: 1s, do: [{python: 'a:b'}]}]}"
    assert wait_of(text) == 1.0


def test_speech_after_a_handled_transfer_is_fine() -> None:
    """With `on_error` steps the agent may stay on the line."""
    text = """
    session:
      user_turn:
        - name: h
          do:
            - escalate_transfer: {queue: a}
              on_error: [{say: "Nobody is free."}]
    """
    assert codes(text) == []


def test_the_next_hook_is_not_blamed_for_an_end_under_a_condition() -> None:
    """The first hook may not have run."""
    text = """
    session:
      user_turn:
        - {name: a, when: call.turns > 3, do: [{end_call: done}]}
        - say: "Go on."
    """
    assert codes(text) == []


def test_a_pause_resumed_in_another_event_is_fine() -> None:
    """A resume anywhere in the config is a way back."""
    text = "session: {user_turn: [{recording: pause}], dtmf: [{recording: resume}]}"
    assert codes(text) == []


def test_a_pause_with_a_limit_is_fine() -> None:
    """The runtime resumes by itself."""
    assert codes("session: {user_turn: [{recording: {pause: card, max: 90s}}]}") == []


def test_a_pause_resumed_only_at_the_end_is_not() -> None:
    """At `call_end` there is nothing left to record."""
    text = "session: {user_turn: [{recording: pause}], call_end: [{recording: resume}]}"
    assert "HK409" in codes(text)


def test_one_timer_may_restart_itself() -> None:
    """A timer that arms its own name again beats at intervals; that is no collision."""
    text = """
    session:
      call_start:
        - timer:
            name: beat
            after: 60s
            steps: [{log: beat}]
      user_turn:
        - timer: {name: beat, after: 60s, steps: [{log: beat}]}
    """
    assert codes(text) == []


def test_a_target_lacks_what_it_lacks() -> None:
    """The same config is fine for one runtime and refused for another."""
    text = "session: {dtmf: [{log: '{{ event.digit }}'}]}"
    assert (codes(text, "native"), codes(text, "unpod")) == ([], ["HK430"])


@pytest.mark.parametrize(
    ("hook", "unpod", "relay"),
    [
        ("escalate_transfer: {queue: a}, on_error: [{say: sorry}]", 1, 0),
        ("escalate_transfer: {queue: a}, on_error: continue", 0, 0),
        ("say: hi, on_error: [{log: sorry}]", 0, 0),
        ("timer: {name: t, after: 9s, cancel_on: dtmf, steps: [{say: hi}]}", 1, 0),
        ("timer: {name: t, after: 9s, cancel_on: [user_turn, voicemail, transfer],"
         " steps: [{say: hi}]}", 2, 1),
        ("timer: {name: t, after: 9s, cancel_on: user_turn, steps: [{say: hi}]}", 0, 0),
        ("""say: hi, when: "call.count('dtmf', '60s') > 0" """, 1, 0),
        ("""say: "{{ call.count('metric') }} {{ call.count('user_turn') }}" """, 0, 1),
        ("""say: hi, when: "call.outcome == 'no_answer' and call.turns > 1" """, 1, 0),
        ("""say: hi, when: "'busy' == (call.outcome | default('')) or call.turns" """, 1, 0),
        ("""say: hi, when: "call.outcome in ['refused', 'busy']" """, 1, 0),
        ("""say: hi, when: "call.outcome == 'failed'" """, 0, 0),
        ("""say: "{{ call.outcome | default('none') }}" """, 0, 0),
        ("""say: hi, when: "call.direction == 'busy' or call.outcome is none" """, 0, 0),
    ],
)  # fmt: skip
def test_what_never_happens_on_a_target_is_a_warning(hook: str, unpod: int, relay: int) -> None:
    """The config works there all the same; where the report comes nothing is found."""

    def found(target: str) -> int:
        text = f"version: 1\nsession: {{user_turn: [{{{hook}}}]}}\n"
        problems = check_text(text, "t.yaml", Settings(target=target)).problems
        never = [p for p in problems if p.code == "HK431"]
        assert all(not p.is_error and f"{target} cannot report" in p.message for p in never)
        return len(never)

    assert (found("unpod"), found("conversation_relay"), found("native")) == (unpod, relay, 0)


def test_secrets_are_starred_out_of_source_lines() -> None:
    """A report is read by more people than the file."""
    text = "version: 1\nvars: {api_key: hunter2, x: 1}\nsession: {user_turn: [{say: hi}]}\n"
    lines = {problem.source_line for problem in check_text(text, "t.yaml").problems}
    assert lines == {"vars: {api_key: *******, x: 1}"}


def test_load_config_carries_every_problem(tmp_path: pytest.TempPathFactory) -> None:
    """A bad file raises once, with all that is wrong in it."""
    from orchestrator.errors import ConfigError

    path = f"{tmp_path}/a.yaml"
    with open(path, "w") as stream:
        stream.write("version: 2\nsession: {user_turn: [{sya: hi}]}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert [problem.code for problem in caught.value.problems] == ["HK102", "HK221"]


MENU = """
session:
  dtmf:
    - name: one
      when: event.digit == '1'
      do: [{python: 'a:b'}]
    - name: two
      when: event.digit in ['2', '3']
      do: [{python: 'a:b', timeout: 1s}, {python: 'a:c', timeout: 1500ms}]
    - if: event.digit == '4' or event.digit == '5'
      then: [{python: 'a:b'}]
    - name: other
      when: OTHER
      do: [{python: 'a:b', timeout: 500ms}]
"""


@pytest.mark.parametrize(
    ("other", "seconds"),
    [
        ("event.digit == '9'", 2.5),
        ("event.digit == '3'", 3.0),
        ("event.digit != '1'", 3.0),
        ("not event.digit in ['1', '2']", 3.0),
        ("call.turns > 3", 3.0),
    ],
)
def test_waits_that_exclude_each_other_are_not_added(other: str, seconds: float) -> None:
    """The caller pressed one key."""
    assert wait_of(MENU.replace("OTHER", other)) == seconds


def test_what_a_hook_may_change_excludes_nothing() -> None:
    """Between two hooks a value of `data` may have become another."""
    text = MENU.replace("event.digit", "data.tier").replace("OTHER", "call.turns > 3")
    assert wait_of(text) == 7.0


def test_very_many_hooks_are_added() -> None:
    """Beyond what people write, more is said rather than less, and quickly."""
    hooks = "".join(
        f"    - {{name: h{n}, when: event.digit == '{n % 10}', do: [{{python: 'a:b'}}]}}\n"
        for n in range(1500)
    )
    assert wait_of(f"session:\n  dtmf:\n{hooks}") == 3000.0
