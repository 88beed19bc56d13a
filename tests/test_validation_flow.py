"""Data flow: what `data` holds where, and what templates may read."""

from __future__ import annotations

import textwrap

from orchestrator.validation import check_text

SAVE = "- python: my.hooks:plan\n  save: plan\n"


def codes(text: str) -> list[str]:
    text = "version: 1\n" + textwrap.dedent(text).lstrip("\n")
    return [problem.code for problem in check_text(text, "t.yaml").problems]


def hook(steps: str, event: str = "user_turn", **settings: str) -> str:
    body = textwrap.indent(textwrap.dedent(steps).strip("\n"), "        ")
    head = "".join(f"\n      {key}: {value}" for key, value in settings.items())
    return f"session:\n  {event}:\n    - name: h{head}\n      do:\n{body}\n"


def test_a_save_is_known_in_the_rest_of_its_hook() -> None:
    """If the step fails the hook ends, so whoever comes later can rely on the value."""
    assert codes(hook(SAVE + '- log: "{{ data.plan }}"')) == []


def test_a_save_that_may_fail_is_not_known() -> None:
    """With `on_error: continue` the next step runs without the value."""
    assert codes(hook(SAVE + '  on_error: continue\n- log: "{{ data.plan }}"')) == ["HK229"]


def test_a_save_in_the_background_is_not_known() -> None:
    """The next step does not wait for it."""
    assert codes(hook(SAVE + '  background: true\n- log: "{{ data.plan }}"')) == ["HK229"]


def test_a_save_under_a_condition_is_not_known() -> None:
    """The step may have been skipped."""
    assert codes(hook(SAVE + '  when: call.turns > 1\n- log: "{{ data.plan }}"')) == ["HK229"]


def test_a_value_set_in_both_branches_is_known() -> None:
    """Whichever way was taken, it is there."""
    steps = """
    - if: call.turns > 1
      then: [{set: {a: 1}}]
      else: [{set: {a: 2}}]
    - log: "{{ data.a }}"
    """
    assert codes(hook(steps)) == []


def test_a_branch_that_stops_does_not_count() -> None:
    """Who comes on has taken the other branch."""
    steps = """
    - if: call.turns > 1
      then: [{set: {a: 1}}]
      else: [{stop: enough}]
    - log: "{{ data.a }}"
    """
    assert codes(hook(steps)) == []


def test_a_condition_guards_the_steps_under_it() -> None:
    """What `when` has asked for need not be asked again."""
    when = '"data.vip is defined"'
    assert codes(hook('- log: "{{ data.vip }}"', when=when)) == []


def test_a_condition_guards_no_other_value() -> None:
    """It proves what it asks for, and nothing else."""
    when = '"data.vip is defined"'
    assert codes(hook('- log: "{{ data.name }}"', when=when)) == ["HK228"]


def test_a_stop_guards_the_steps_after_it() -> None:
    """`stop` when a value is missing proves it for the rest."""
    steps = """
    - stop: unknown caller
      when: data.vip is not defined
    - log: "{{ data.vip }}"
    """
    assert codes(hook(steps)) == []


def test_call_start_is_known_later() -> None:
    """What the start of the call surely saves, every later event can read."""
    text = """
    session:
      call_start: [{set: {tries: 0}}]
      user_turn: [{log: "{{ data.tries }}"}]
    """
    assert codes(text) == []


def test_a_step_that_waits_may_end_the_hook_before_the_save() -> None:
    """After a step that can fail, a save is not certain for other events."""
    text = """
    session:
      call_start:
        - name: a
          do:
            - python: my.hooks:a
            - set: {tries: 0}
      user_turn: [{log: "{{ data.tries }}"}]
    """
    assert codes(text) == ["HK229"]


def test_hooks_of_one_event_know_each_other() -> None:
    """They run in the order written."""
    text = """
    session:
      user_turn:
        - set: {a: 1}
        - log: "{{ data.a }}"
    """
    assert codes(text) == []


def test_a_later_save_under_a_condition_takes_nothing_away() -> None:
    """What was surely there before stays there, whether or not it is overwritten."""
    text = """
    session:
      call_start: [{set: {tries: 0}}]
      user_turn:
        - {name: count, when: call.turns > 1, do: [{set: {tries: 1}}]}
        - log: "{{ data.tries }}"
    """
    assert codes(text) == []


def test_a_timer_sees_what_is_known_when_it_is_armed() -> None:
    """Its steps run later, with the same data."""
    steps = """
    - set: {a: 1}
    - timer: {after: 5s, steps: [{log: "{{ data.a }} {{ event.text }}"}]}
    """
    assert codes(hook(steps)) == []


def test_a_chain_is_checked_with_each_event_that_runs_it() -> None:
    """A field that one of the events lacks is a finding, once."""
    text = """
    chains: {note: [{log: "{{ event.text }}"}]}
    session:
      user_turn: [{run: note}]
      interruption: [{run: note}]
      dtmf: [{run: note}]
    """
    assert codes(text) == ["HK202"]


def test_error_is_known_in_on_error_steps_only() -> None:
    """There it has the message and the step."""
    steps = """
    - python: my.hooks:a
      on_error: [{log: "{{ error.message }} {{ error.step }}"}]
    """
    assert codes(hook(steps)) == []


def test_fields_of_custom_events_come_from_their_emits() -> None:
    """A field that not every emit gives may be missing."""
    text = """
    session:
      user_turn: [{emit: {event: custom.a, fields: {x: 1, y: "2"}}}]
      dtmf: [{emit: {event: custom.a, fields: {x: 2}}}]
      custom.a:
        - log: "{{ event.x }}"
        - log: "{{ event.y | default('') }}"
        - log: "{{ event.y }}"
    """
    assert codes(text) == ["HK203"]


def test_taint_follows_values_through_data_and_events() -> None:
    """The caller's words stay the caller's words, wherever they were put."""
    text = """
    session:
      user_turn: [{emit: {event: custom.dial, fields: {to: "{{ event.text }}"}}}]
      custom.dial:
        - name: dial
          do:
            - set: {target: "{{ event.to | trim }}"}
            - escalate_transfer: {number: "+{{ data.target }}"}
    """
    assert codes(text) == ["HK510"]


def test_a_syntax_fault_has_no_consequences() -> None:
    """What stands in a broken template is neither read nor unread."""
    assert codes("vars: {a: 1}\n" + hook('- log: "{{ vars.a + }}"')) == ["HK301"]


def test_what_both_ways_save_is_known_afterwards() -> None:
    """Either the steps ran, or `on_error`; not where a step may end the hook by itself."""
    ways = """
    session:
      user_turn:
        - name: h
          do:
            - python: my.hooks:plan
              {more}
            - set: {{ok: true}}
          on_error:
            - set: {{ok: false}}
        - log: "{{{{ data.ok }}}}"
    """
    assert codes(ways.format(more="id: plan")) == []
    assert codes(ways.format(more="on_error: [{log: failed}]")) == ["HK229"]
    assert codes(
        ways.replace("- name: h", "- name: h\n          timeout: 1s").format(more="id: p")
    ) == ["HK229"]


def test_a_status_proves_only_what_its_step_has_saved() -> None:
    """Another key, or another outcome, is as unsure as before."""
    steps = (
        SAVE
        + '  id: ask\n  on_error: continue\n- log: "{{ data.plan }}"\n  when: steps.ask.status '
    )
    assert codes(hook(steps + "== 'ok'")) == []
    assert codes(hook(steps + "!= 'ok'")) == ["HK229"]
    assert codes(hook(steps + "== 'failed'")) == ["HK229"]


def test_an_end_that_may_not_come_is_no_end() -> None:
    """A chain that fails on the way to its end lets the next step speak, if it goes on."""
    text = """
    chains:
      hang: [{{python: "my.hooks:plan"}}, {{end_call: done}}]
    session:
      user_turn:
        - name: h
          do:
            - run: hang
              {more}
            - say: "Are you there?"
    """
    assert codes(text.format(more="timeout: 1s")) == ["HK404"]
    assert codes(text.format(more="on_error: continue")) == []
