"""Hooks and steps as they run: order, isolation, deadlines, policies, control steps."""

from __future__ import annotations

import pytest

from tests import hooks
from tests.kit import did, lines, run, steps

USER = {"t": 1, "user_turn": "hello"}


@pytest.fixture(autouse=True)
def _clean() -> None:
    hooks.forget()


def turn(body: str, events: object = (USER,), **options: object):
    """Play hooks of `user_turn`, given as the lines below it."""
    text = "session:\n  user_turn:\n" + "\n".join("    " + line for line in body.splitlines())
    return run(text, events, **{"linger": 10, **options})  # type: ignore[arg-type]


# --- order and isolation


def test_hooks_run_in_the_order_written() -> None:
    """Each hook is awaited before the next one begins."""
    played = turn("- python: tests.hooks:slow\n  timeout: 5s\n- say: after")
    assert did(played, "say") == [(4.0, "after")]


@pytest.mark.parametrize("bad", ["boom", "garbage", "huge", "cancelled", "leave", "odd", "nan"])
def test_whatever_a_hook_does_the_next_one_runs_and_the_call_goes_on(bad: str) -> None:
    """A hook that raises or returns rubbish is one line in the journal."""
    played = turn(f"- python: tests.hooks:{bad}\n- say: fine", [USER, {"t": 2, "user_turn": "x"}])
    assert did(played, "say") == [(1.0, "fine"), (2.0, "fine")]
    assert [status for _, status in steps(played, "python")] == ["failed", "failed"]
    assert played.final_state == "ended"


@pytest.mark.parametrize("bad", ["hang", "stubborn"])
def test_a_hook_that_hangs_is_left_behind_at_its_deadline(bad: str) -> None:
    """Hanging, or ignoring its cancellation, costs the caller the deadline and no more."""
    played = turn(f"- python: tests.hooks:{bad}\n- say: fine")
    ((when, text),) = did(played, "say")
    assert text == "fine"
    assert 3.0 <= when <= 3.3
    assert steps(played, "python")[0][1] == "timed_out"


def test_the_journal_of_a_hook_that_ignores_cancellation_says_so() -> None:
    """An operator sees which callable does not stop."""
    played = turn("- python: tests.hooks:stubborn")
    (step,) = lines(played, step="python")
    assert "ignores being stopped" in step["error"]


def test_a_failing_condition_skips_its_hook_and_says_why() -> None:
    """A `when` that cannot be decided is not true."""
    played = turn("- when: data.missing.field | default(none) > 3\n  do: [{say: no}]\n- say: yes")
    assert did(played, "say") == [(1.0, "yes")]
    assert "could not be decided" in lines(played, ran=False)[0]["why"]


def test_a_false_condition_is_recorded_with_what_it_saw() -> None:
    """The journal answers why a hook did not run."""
    played = turn("- name: human\n  when: event.text is matching('human')\n  do: [{say: no}]")
    (skip,) = lines(played, hook="human")
    assert skip["ran"] is False
    assert skip["saw"] == {"event.text": "hello"}


# --- deadlines


def test_every_gating_step_has_a_deadline_of_two_seconds() -> None:
    """A step that says nothing about time gets the default."""
    played = turn("- python: tests.hooks:slow")
    assert lines(played, step="python")[0]["error"] == "no answer within 2s"


def test_a_steps_own_timeout_counts() -> None:
    """`timeout` on the step replaces the default."""
    assert steps(turn("- {python: 'tests.hooks:slow', timeout: 500ms}"), "python")[0][0] == 1.5
    assert steps(turn("- {python: 'tests.hooks:slow', timeout: 4s}"), "python")[0][1] == "ok"


def test_a_hooks_timeout_cuts_all_of_its_steps() -> None:
    """The hook's own limit covers its steps together."""
    played = turn(
        "- timeout: 1s\n  do:\n    - wait: 700ms\n    - wait: 700ms\n    - say: no\n- say: ok"
    )
    assert did(played, "say") == [(2.0, "ok")]
    assert lines(played, ended="timed_out")


def test_wait_is_not_cut_by_the_default_deadline() -> None:
    """A wait that the author wrote is meant."""
    assert did(turn("- do:\n    - wait: 5s\n    - say: ok"), "say") == [(6.0, "ok")]


def test_a_log_line_of_a_step_says_which_call(caplog: pytest.LogCaptureFixture) -> None:
    """With a journal for each of hundreds of calls, its reader must find the one."""
    turn("- python: tests.hooks:boom")
    (record,) = [r for r in caplog.records if r.message == "a step raised"]
    assert vars(record)["call_id"] == "call-1"


# --- what a step says about itself


def test_save_puts_the_output_into_data() -> None:
    """`save: name` is `data.name` for later steps, hooks and the runner."""
    played = turn(
        "- do:\n    - {python: 'tests.hooks:score', save: score}\n"
        "    - say: 'length {{ data.score.length }}'"
    )
    assert did(played, "say") == [(1.0, "length 5")]
    assert played.data["score"] == {"length": 5}


def test_steps_by_id_give_status_output_and_error() -> None:
    """A later step of the hook can look at an earlier one."""
    played = turn(
        "- do:\n    - {id: a, python: 'tests.hooks:boom', on_error: continue}\n"
        "    - say: '{{ steps.a.status }}: {{ steps.a.error | default(1) }}'"
    )
    assert did(played, "say") == [(1.0, "failed: ValueError: boom")]


def test_results_of_steps_live_as_long_as_their_hook() -> None:
    """The next hook does not see the ids of the one before."""
    body = (
        "- do: [{id: a, set: {x: 1}}]\n- do: [{id: b, set: {y: 1}}, {say: '{{ steps.b.status }}'}]"
    )
    assert did(turn(body), "say") == [(1.0, "ok")]


def test_a_step_with_a_false_condition_is_skipped() -> None:
    """`when` on a step leaves it out and goes on."""
    played = turn("- do:\n    - {when: event.text == 'bye', say: no}\n    - say: yes")
    assert did(played, "say") == [(1.0, "yes")]
    assert steps(played, "say")[0] == (1.0, "skipped")


def test_retry_tries_again_within_the_deadline() -> None:
    """Two further tries, pausing 0.2 s and 0.4 s."""
    played = turn("- {python: 'tests.hooks:flaky', retry: 2, save: x}")
    assert hooks.seen == [1.0, 1.2, 1.6]
    assert played.data["x"] == "try 3"


def test_retry_never_outlives_the_deadline() -> None:
    """The tries share one deadline."""
    played = turn(
        "- {python: 'tests.hooks:flaky', retry: {times: 5, backoff: 1s}, timeout: 1500ms}"
    )
    assert steps(played, "python") == [(2.5, "timed_out")]


# --- failure policies


def test_a_failed_step_ends_its_hook_by_default() -> None:
    """The hook stops; the next hook runs."""
    played = turn("- do: [{python: 'tests.hooks:boom'}, {say: no}]\n- say: yes")
    assert did(played, "say") == [(1.0, "yes")]


def test_on_error_continue_goes_on() -> None:
    """The step's failure is recorded and nothing else."""
    played = turn("- do: [{python: 'tests.hooks:boom', on_error: continue}, {say: yes}]")
    assert did(played, "say") == [(1.0, "yes")]


def test_on_error_steps_run_and_then_the_hook_ends() -> None:
    """The steps see `error`; what follows in the hook does not run."""
    played = turn(
        "- do:\n    - python: tests.hooks:boom\n      on_error:\n"
        "        - say: '{{ error.step }} said {{ error.message }}'\n    - say: no"
    )
    assert did(played, "say") == [(1.0, "python said ValueError: boom")]


def test_on_error_of_a_hook_holds_for_all_of_its_steps() -> None:
    """A hook's `continue` is what its steps do that say nothing; its steps run once."""
    goes_on = turn("- on_error: continue\n  do: [{python: 'tests.hooks:boom'}, {say: yes}]")
    assert did(goes_on, "say") == [(1.0, "yes")]
    handled = turn("- do: [{python: 'tests.hooks:boom'}, {say: no}]\n  on_error: [{say: sorry}]")
    assert did(handled, "say") == [(1.0, "sorry")]


def test_defaults_give_the_policy_for_all_hooks() -> None:
    """`defaults: on_error: continue`."""
    text = """
    defaults: {on_error: continue, timeout: 300ms}
    session:
      user_turn:
        - do: [{python: 'tests.hooks:slow'}, {say: yes}]
    """
    assert did(run(text, [USER]), "say") == [(1.3, "yes")]


# --- clean-up


CLEANUP = "\n  finally:\n    - recording: resume"


@pytest.mark.parametrize(
    "body",
    [
        "- do: [{say: fine}]",
        "- do: [{python: 'tests.hooks:boom'}]",
        "- timeout: 1s\n  do: [{wait: 5s}]",
        "- do: [{stop: enough}]",
        "- do: [{wait: 30s}]",
        "- do: [{end_call: done}]",
        "- do: [{escalate_transfer: {queue: people}}]",
    ],
    ids=["success", "error", "timeout", "stop", "hang-up", "end", "transfer"],
)
def test_finally_runs_on_every_way_out_of_a_hook(body: str) -> None:
    """Success, error, timeout, stop, hang-up, end and transfer."""
    played = turn(body + CLEANUP, [USER, {"t": 5, "hangup": "bye"}])
    ended = [step for step in played.lines if step.get("step") == "recording"]
    assert len(ended) == 1


def test_a_hang_up_cancels_a_waiting_step_at_once() -> None:
    """The call ends when the caller hangs up, not when the step would have."""
    played = turn("- do: [{wait: 60s}, {say: no}]", [USER, {"t": 3, "hangup": "bye"}])
    assert lines(played, session="call_end")[0]["t"] <= 3.2
    assert steps(played, "wait")[0][1] == "cancelled"


def test_an_interruption_while_a_step_waits_is_handled_after_it() -> None:
    """The events keep their order, and both are handled."""
    text = """
    session:
      user_turn: [{python: 'tests.hooks:slow', timeout: 2s}]
      interruption: [{say: sorry}]
    """
    played = run(text, [USER, {"t": 2, "event": "interruption"}])
    assert did(played, "say") == [(3.0, "sorry")]


# --- control steps


def test_if_runs_one_branch() -> None:
    """`then` when it holds, `else` when not."""
    body = "- if: event.text == 'hello'\n  then: [{say: yes}]\n  else: [{say: no}]"
    events = [USER, {"t": 2, "user_turn": "bye"}]
    assert did(turn(body, events), "say") == [(1.0, "yes"), (2.0, "no")]


def test_stop_in_parallel_ends_the_hook_too() -> None:
    """Whichever branch says so; the other branches are cancelled."""
    played = turn(
        "- do:\n    - parallel: [{stop: enough}, {wait: 5s}]\n      timeout: 9s\n    - say: no"
    )
    assert did(played, "say") == []
    assert steps(played, "wait")[0] == (1.0, "cancelled")


def test_stop_ends_its_hook_only() -> None:
    """Also from inside a branch."""
    body = "- do:\n    - if: true\n      then: [{stop: enough}]\n    - say: no\n- say: yes"
    assert did(turn(body), "say") == [(1.0, "yes")]


def test_parallel_takes_as_long_as_its_slowest_step() -> None:
    """Two waits of one and two seconds take two."""
    played = turn(
        "- timeout: 10s\n  do:\n    - {parallel: [{wait: 1s}, {wait: 2s}], timeout: 5s}\n    - say: ok"
    )
    assert did(played, "say") == [(3.0, "ok")]


def test_parallel_has_one_deadline_for_all() -> None:
    """What is not done by then is cancelled."""
    body = "- do:\n    - parallel: [{wait: 9s}, {set: {a: 1}}]\n      timeout: 1s\n      on_error: continue\n    - say: ok"
    played = turn(body)
    assert did(played, "say") == [(2.0, "ok")]
    assert played.data["a"] == 1
    assert steps(played, "wait")[0][1] == "cancelled"


def test_parallel_can_keep_late_answers() -> None:
    """With `late: keep` a late answer still lands in `data`."""
    body = (
        "- do:\n    - parallel: {steps: [{python: 'tests.hooks:slow', timeout: 9s, save: x}], late: keep}\n"
        "      timeout: 1s\n      on_error: continue\n    - say: ok"
    )
    played = turn(body)
    assert did(played, "say") == [(2.0, "ok")]
    assert played.data["x"] == "late"


def test_the_first_error_of_parallel_cancels_the_others() -> None:
    """Unless it says `first_error: wait`."""
    cancels = turn("- parallel: {steps: [{python: 'tests.hooks:boom'}, {wait: 1s}]}\n  timeout: 9s")
    assert steps(cancels, "wait")[0] == (1.0, "cancelled")
    waits = turn(
        "- parallel: {steps: [{python: 'tests.hooks:boom'}, {wait: 1s}], first_error: wait}\n  timeout: 9s"
    )
    assert steps(waits, "wait")[0] == (2.0, "ok")
    assert steps(waits, "parallel")[0][1] == "failed"


def test_chains_run_where_they_are_named() -> None:
    """A chain's steps see the event of the hook that runs them."""
    text = """
    chains:
      echo: [{say: 'you said {{ event.text }}'}]
    session:
      user_turn: [{run: echo}, {run: echo}]
    """
    assert did(run(text, [USER]), "say") == [(1.0, "you said hello")] * 2


# --- how often


def test_max_count_limits_runs_per_call() -> None:
    """The third turn does not run the hook."""
    events = [{"t": t, "user_turn": "x"} for t in (1, 2, 3)]
    played = turn("- max_count: 2\n  do: [{say: hi}]", events)
    assert [t for t, _ in did(played, "say")] == [1.0, 2.0]
    assert lines(played, ran=False)[0]["why"] == "max_count 2 is reached"


def test_cooldown_keeps_runs_apart() -> None:
    """A run within the cooldown is skipped; it does not lengthen it."""
    events = [{"t": t, "user_turn": "x"} for t in (1, 3, 5, 7)]
    played = turn("- cooldown: 4s\n  do: [{say: hi}]", events)
    assert [t for t, _ in did(played, "say")] == [1.0, 5.0]


def test_a_condition_that_is_false_does_not_use_up_max_count() -> None:
    """Only runs count."""
    events = [{"t": 1, "user_turn": "no"}, {"t": 2, "user_turn": "yes"}]
    played = turn("- {max_count: 1, when: event.text == 'yes', do: [{say: hi}]}", events)
    assert [t for t, _ in did(played, "say")] == [2.0]


# --- background


def test_background_steps_do_not_delay_an_event() -> None:
    """The next step runs at once; the background step has 30 s."""
    played = turn(
        "- do:\n    - {python: 'tests.hooks:slow', background: true, save: x}\n    - say: now"
    )
    assert did(played, "say") == [(1.0, "now")]
    assert steps(played, "python") == [(4.0, "ok")]
    assert played.data["x"] == "late"


def test_background_work_keeps_its_order_per_call() -> None:
    """The second waits for the first."""
    played = turn(
        "- {python: 'tests.hooks:slow', background: true}\n- {python: 'tests.hooks:note', background: true}"
    )
    assert hooks.seen == [(4.0, "hello")]
    assert steps(played, "python")[1] == (4.0, "ok")


def test_background_steps_see_the_values_of_their_moment() -> None:
    """What changes afterwards is not theirs."""
    body = (
        "- do:\n    - set: {word: one}\n    - {python: 'tests.hooks:slow', background: true}\n"
        "    - remember: {key: k, value: '{{ data.word }}'}\n      background: true\n    - set: {word: two}"
    )
    played = turn(body)
    assert steps(played, "remember") == [(4.0, "ok")]
    assert played.data["word"] == "two"


def test_background_work_is_drained_at_the_end_of_the_call() -> None:
    """A hang-up does not lose it."""
    played = turn(
        "- {python: 'tests.hooks:slow', background: true}", [USER, {"t": 1.5, "hangup": ""}]
    )
    assert steps(played, "python") == [(4.0, "ok")]


def test_background_work_that_does_not_end_is_cut_off_ten_seconds_after_the_call() -> None:
    """Nothing keeps a finished call for ever."""
    played = turn(
        "- {python: 'tests.hooks:hang', background: true}", [USER, {"t": 2, "hangup": ""}]
    )
    assert lines(played, note="background work was cut off")
    assert played.lines[-1]["t"] <= 13.2


def test_a_background_hook_runs_off_the_calls_path() -> None:
    """`background: true` on a hook."""
    played = turn("- background: true\n  do: [{wait: 3s}, {say: later}]\n- say: now")
    assert did(played, "say") == [(1.0, "now"), (4.0, "later")]


# --- timers and events of one's own


def test_a_timer_runs_its_steps_later_and_events_cancel_it() -> None:
    """`cancel_on` names the events."""
    body = "- timer: {name: n, after: 5s, cancel_on: dtmf, steps: [{say: 'late {{ event.text }}'}]}"
    assert did(turn(body), "say") == [(6.0, "late hello")]
    assert did(turn(body, [USER, {"t": 2, "dtmf": "1"}]), "say") == []


def test_arming_a_timer_again_restarts_it() -> None:
    """There is one timer of a name."""
    body = "- timer: {name: n, after: 5s, steps: [{say: late}]}"
    assert did(turn(body, [USER, {"t": 3, "user_turn": "x"}]), "say") == [(8.0, "late")]


def test_a_timer_ends_with_its_call() -> None:
    """Nothing is said into a dead line."""
    body = "- timer: {after: 5s, steps: [{say: late}]}"
    assert did(turn(body, [USER, {"t": 3, "hangup": ""}]), "say") == []


def test_a_timer_that_starts_itself_is_stopped_in_the_end() -> None:
    """A loop of timers does not hang the call."""
    text = """
    chains:
      again: [{timer: {after: 1ms, steps: [{run: loop}]}}]
      loop: [{emit: {event: custom.again}}]
    session:
      user_turn: [{run: again}]
      custom.again: [{run: again}]
    """
    played = run(text, [USER], linger=60)
    assert played.final_state == "ended"


def test_emit_fires_a_custom_event_after_the_present_one() -> None:
    """Its hooks see its fields."""
    text = """
    session:
      user_turn: [{emit: {event: custom.x, fields: {a: 2}}}, {say: first}]
      custom.x: [{say: 'then {{ event.a | default(0) }}'}]
    """
    assert [text for _, text in did(run(text, [USER]), "say")] == ["first", "then 2"]


def test_a_hook_that_emits_its_own_event_does_not_hang_the_call() -> None:
    """The loop ends after a thousand events, with a finding in the journal."""
    text = """
    session:
      user_turn: [{emit: custom.x}]
      custom.x: [{emit: custom.x}]
    """
    played = run(text, [USER])
    assert any("is it a loop" in str(line.get("error")) for line in played.lines)


# --- once


def test_a_side_effect_has_the_same_id_in_every_run_of_the_same_call() -> None:
    """The id comes from config, call, step and occurrence."""
    events = [USER, {"t": 2, "user_turn": "x"}]
    body = "- {python: 'tests.hooks:idem', save: id}"
    first, second = turn(body, events), turn(body, events)
    ids = [line["output"] for line in lines(first, step="python")]
    assert ids == [line["output"] for line in lines(second, step="python")]
    assert len(set(ids)) == 2
    other = turn(body, events, call={"id": "call-2"})
    assert set(ids).isdisjoint(line["output"] for line in lines(other, step="python"))


def test_retries_share_the_id() -> None:
    """A receiver sees one id however often a step is tried."""
    played = turn("- {python: 'tests.hooks:idem', retry: 2, save: id}")
    assert played.data["id"].startswith("msg_")


def test_speech_after_end_call_fails_its_step_and_nothing_else() -> None:
    """Later hooks still run."""
    played = turn("- end_call: done\n- say: 'too late'\n- set: {still: true}")
    assert steps(played, "say")[0][1] == "failed"
    assert played.data["still"] is True
    assert played.state == "ended"


def test_python_callables_take_fewer_arguments_and_may_be_plain_functions() -> None:
    """A plain function runs in a thread, so that it cannot stop the call."""
    played = turn("- {python: 'tests.hooks:plain_function', save: x}")
    assert played.data["x"] == "hello call-1"


def test_a_missing_callable_fails_its_step() -> None:
    """Found out at call time when it was not checked before."""
    played = turn("- python: no.such:thing")
    assert "cannot load" in lines(played, step="python")[0]["error"]
