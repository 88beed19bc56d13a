"""The silence truth table, row by row, in virtual time; and the complaints of the field."""

from __future__ import annotations

import pytest

from tests.kit import did, lines, run

LADDER = """
session:
  call_start:
    - silence_timer:
        after: 8s
        steps:
          - say: first
          - say: second
          - {after: 5s, end_call: no_response}
"""


def agent(t: float, text: str = "How can I help?") -> dict:
    return {"t": t, "agent_turn": text}


def user(t: float, text: str = "hello") -> dict:
    return {"t": t, "user_turn": text}


def state(t: float, who: str, what: str) -> dict:
    return {"t": t, "state": what, "who": who}


def says(played) -> list[float]:
    return [t for t, _ in did(played, "say")]


# --- the ladder itself


def test_a_silent_caller_is_nudged_twice_and_then_the_call_ends() -> None:
    """Each rung waits from what was said before it; a rung's own `after` counts for it alone."""
    played = run(LADDER, [agent(0)])
    assert did(played, "say") == [(8.0, "first"), (16.0, "second")]
    assert did(played, "end_call") == [(21.0, "no_response")]
    assert played.state == "ended"


def test_the_clock_starts_with_the_call_when_nobody_speaks() -> None:
    """Silence from the first second is silence too."""
    assert says(run(LADDER, [])) == [8.0, 16.0]


def test_a_final_transcript_takes_the_ladder_back_to_its_first_rung() -> None:
    """Words cancel the clock; it arms again when the agent has answered."""
    played = run(LADDER, [agent(0), user(10), agent(11)])
    assert did(played, "say") == [(8.0, "first"), (19.0, "first"), (27.0, "second")]


def test_a_digit_counts_as_words() -> None:
    """A caller who presses keys is there."""
    played = run(LADDER, [agent(0), {"t": 5, "dtmf": "1"}, agent(6)])
    assert says(played) == [14.0, 22.0]


def test_after_a_key_the_clock_waits_for_no_answer() -> None:
    """Nobody is asked about it: a number that was keyed in by half is followed by silence."""
    played = run(LADDER, [agent(0), {"t": 3, "dtmf": "1"}, {"t": 4, "dtmf": "2"}])
    assert says(played) == [12.0, 20.0]


def test_a_key_does_not_end_what_the_caller_is_saying() -> None:
    """Who presses a key while they talk is heard out, as without the key."""
    talk = [agent(0), state(4, "caller", "speaking"), state(15, "caller", "listening")]
    without = says(run(LADDER, talk))
    played = run(LADDER, [*talk[:2], {"t": 5, "dtmf": "1"}, talk[2]])
    assert says(played)[0] > 15
    assert says(played)[0] >= without[0]


def test_a_key_after_words_does_not_end_the_wait_for_their_answer() -> None:
    """The agent is still to answer the words."""
    played = run(LADDER, [agent(0), user(3), {"t": 4, "dtmf": "1"}, agent(23)])
    assert says(played)[0] == 31.0


def test_what_a_hook_says_to_a_key_is_heard_first() -> None:
    """Five words, two seconds."""
    text = LADDER + "  dtmf:\n    - say: one two three four five\n"
    played = run(text, [{"t": 3, "dtmf": "1"}], without=["playback"])
    assert says(played)[:2] == [3, 3 + 2 + 8]


def test_with_reset_never_words_do_not_take_the_ladder_back() -> None:
    """`reset: never` keeps the rung, but words still stop the clock."""
    text = LADDER.replace("after: 8s", "after: 8s\n        reset: never", 1)
    played = run(text, [agent(0), user(10), agent(11)])
    assert did(played, "say") == [(8.0, "first"), (19.0, "second")]


PLAYS = """
session:
  call_start:
    - say: one two three four five
    - play: %s
    - silence_timer: {after: 3s, steps: [{say: are you there}]}
"""


@pytest.mark.parametrize(
    ("sound", "first"),
    [("{source: 'https://x.example/a.mp3', lasts: 20s}", 2 + 20 + 3),
     ("{source: 'https://x.example/a.mp3', lasts: 5s, loop: 2}", 2 + 10 + 3),
     ("'https://x.example/a.mp3'", 2 + 60 + 3)],
)  # fmt: skip
def test_who_listens_to_a_sound_is_not_silent(sound: str, first: float) -> None:
    """Without reports its length is what was told, or the longest that it may be."""
    played = run(PLAYS % sound, [], without=["playback"], linger=80)
    assert says(played)[1:] == [first]


def test_a_long_sound_that_is_reported_is_no_lost_report() -> None:
    """The agent "speaks" for as long as it was told to last, with reports of its audio too."""
    sound = "{source: 'https://x.example/a.mp3', lasts: 150s}"
    events = [state(0.1, "agent", "speaking"), state(151, "agent", "listening")]
    assert says(run(PLAYS % sound, events, linger=200))[1:] == [154.0]


def test_the_end_of_words_before_a_sound_is_not_its_end() -> None:
    """Carriers report speech, and nobody knows whether sounds too: it starts then."""
    sound = "{source: 'https://x.example/a.mp3', lasts: 20s}"
    events = [state(0.1, "agent", "speaking"), state(4, "agent", "listening")]
    assert says(run(PLAYS % sound, events, without=["playback"], linger=80))[1:] == [27.0]


def test_a_sound_whose_end_is_reported_is_over_then() -> None:
    """Of unknown length, it ends as this runtime reports it."""
    events = [state(0.1, "agent", "speaking"), state(2, "agent", "listening"),
              state(2.1, "agent", "speaking"), state(9, "agent", "listening")]  # fmt: skip
    played = run(PLAYS % "'https://x.example/a.mp3'", events, without=["playback"], linger=80)
    assert says(played)[1:] == [12.0]


def test_who_cuts_a_sound_short_has_the_floor() -> None:
    """After a barge-in without words the clock counts from it."""
    events = [{"t": 5, "interruption": True}]
    played = run(PLAYS % "'https://x.example/a.mp3'", events, without=["playback"], linger=80)
    assert says(played)[1:] == [pytest.approx(8.0, abs=2.1)]


def test_max_lets_a_ladder_run_again() -> None:
    """After its last rung the ladder begins again, as often as `max` says."""
    text = """
    session:
      call_start:
        - silence_timer: {after: 4s, max: 3, steps: [{say: hello}]}
    """
    assert says(run(text, [agent(0)], linger=60)) == [4.0, 8.0, 12.0]


def test_without_max_the_ladder_runs_once_in_a_silence() -> None:
    """A ladder that ends in a transfer stays quiet once it was refused."""
    text = """
    session:
      call_start:
        - silence_timer: {after: 4s, steps: [{escalate_transfer: {queue: people}}]}
    """
    played = run(text, [agent(0)], transfer={"*": "refused"})
    assert [t for t, _ in did(played, "transfer")] == [4.0]


# --- when the clock may run


def test_the_clock_waits_until_the_agents_audio_has_ended() -> None:
    """With playback reports the clock counts from the end of the audio, not of the text."""
    events = [state(0, "agent", "speaking"), agent(0), state(6, "agent", "listening")]
    assert says(run(LADDER, events))[0] == 14.0


def test_without_playback_reports_the_end_of_speech_is_estimated_from_its_words() -> None:
    """Ten words take four seconds at 150 words a minute."""
    played = run(LADDER, [agent(0, "one two three four five six seven eight nine ten")],
                 without=["playback"])  # fmt: skip
    assert says(played)[0] == 12.0


def test_its_own_nudge_does_not_reset_the_ladder() -> None:
    """The agent's audio for a nudge suspends the clock; the next rung follows."""
    events = [agent(0), state(8.1, "agent", "speaking"), state(10, "agent", "listening")]
    assert did(run(LADDER, events), "say") == [(8.0, "first"), (18.0, "second")]


def test_the_agent_starting_to_speak_suspends_the_clock() -> None:
    """A reply that comes late is not spoken over."""
    events = [agent(0), state(7, "agent", "speaking"), state(9, "agent", "listening")]
    assert says(run(LADDER, events))[0] == 17.0


def test_while_the_agents_answer_is_awaited_the_caller_is_not_blamed() -> None:
    """After the caller's words it is the agent's turn, however long it thinks."""
    played = run(LADDER, [agent(0), user(3), agent(23)])
    assert says(played)[0] == 31.0


def test_an_agent_that_never_answers_does_not_stop_the_clock_for_ever() -> None:
    """After 30 s without an answer the clock arms, with a warning."""
    played = run(LADDER, [agent(0), user(3)])
    assert says(played)[0] == 3 + 30 + 8
    assert lines(played, timer="silence", why="the agent did not answer")


def test_noise_pauses_the_clock_and_it_goes_on_two_seconds_after() -> None:
    """A cough at 5 s for 1 s: 3 s are left, counted from 2 s after it."""
    events = [agent(0), state(5, "caller", "speaking"), state(6, "caller", "listening")]
    assert says(run(LADDER, events))[0] == 6 + 2 + 3


def test_noise_does_not_defer_a_rung_for_ever() -> None:
    """A caller's radio that never stops defers a rung by 20 s at most."""
    played = run(LADDER, [agent(0), state(5, "caller", "speaking")])
    assert says(played)[0] == 5 + 20 + 3


def test_noise_that_comes_and_goes_shares_one_cap() -> None:
    """Many short noises together defer a rung by 20 s at most."""
    noises = []
    for i in range(20):
        noises += [
            state(1 + 3 * i, "caller", "speaking"), state(2.5 + 3 * i, "caller", "listening")
        ]  # fmt: skip
    assert says(run(LADDER, [agent(0), *noises]))[0] <= 8 + 20 + 0.001


def test_a_speaking_flag_that_nobody_clears_is_dropped_with_a_warning() -> None:
    """A lost report of the agent's end must not switch the clock off."""
    played = run(LADDER, [state(0, "agent", "speaking"), agent(0)])
    assert says(played)[0] == 68.0
    assert lines(played, timer="silence", why="no report that the agent stopped speaking")


def test_a_running_tool_suspends_the_clock() -> None:
    """Idle prompts are not spoken over a running tool."""
    events = [agent(0), {"t": 4, "event": "tool_call", "name": "search", "args": {}},
              {"t": 20, "event": "tool_result", "name": "search", "result": 1, "ok": True}]  # fmt: skip
    assert says(run(LADDER, events))[0] == 28.0


def test_hold_and_transfer_suspend_the_clock() -> None:
    """A caller on hold, or being transferred, is not asked whether they are there."""
    events = [agent(0), state(4, "agent", "held"), state(60, "agent", "listening")]
    assert says(run(LADDER, events))[0] >= 60 + 4
    text = LADDER + "  user_turn:\n    - escalate_transfer: {queue: people}\n"
    played = run(text, [agent(0), user(2), {"t": 20, "event": "transfer", "outcome": "refused",
                                            "target": "people"}])  # fmt: skip
    assert says(played)[0] == 28.0


def test_voicemail_ends_every_ladder() -> None:
    """Nobody is nudged on an answering machine."""
    played = run(LADDER, [{"t": 1, "event": "voicemail", "stage": "detected"}])
    assert says(played) == []


def test_the_clock_stands_still_while_a_gating_hook_runs() -> None:
    """A hook that holds the call up does not use up the caller's time."""
    text = LADDER + "  metric:\n    - wait: 3s\n"
    events = [agent(0), {"t": 2, "event": "metric", "name": "ttfa", "value": 1}]
    assert says(run(text, events))[0] == 11.0


def test_it_never_fires_after_the_call_has_ended() -> None:
    """A hang-up ends the ladder at once."""
    played = run(LADDER, [agent(0), {"t": 5, "hangup": "bye"}])
    assert did(played, "say") == []
    assert lines(played, timer="silence", **{"is": "ended"})


def test_hold_ends_only_when_who_is_on_hold_comes_back() -> None:
    """Another side's report does not end it."""
    events = [agent(0), state(4, "caller", "held"), state(7, "agent", "listening")]
    assert says(run(LADDER, events, linger=60)) == []


def test_a_tool_that_never_reports_its_end_is_dropped_with_a_warning() -> None:
    """A lost report must not switch the clock off."""
    events = [agent(0), {"t": 4, "event": "tool_call", "name": "search", "args": {}}]
    played = run(LADDER, events, linger=200)
    assert says(played)[0] == 4 + 120 + 8
    assert lines(played, timer="silence", why="no report that a tool ended")


def test_a_transcript_without_words_is_no_answer() -> None:
    """An empty turn neither resets the ladder nor hands the floor to the agent."""
    assert says(run(LADDER, [agent(0), user(3, " ")]))[0] == 8.0


def test_words_into_the_agents_speech_do_not_wait_for_an_answer_of_their_own() -> None:
    """After "ok" while the agent speaks, the clock arms when the speech ends."""
    events = [
        state(0, "agent", "speaking"), agent(0), user(2, "ok"), state(5, "agent", "listening")
    ]  # fmt: skip
    assert says(run(LADDER, events))[0] == 13.0


def test_a_caller_who_was_transferred_is_not_asked_whether_they_are_there() -> None:
    """Also when it was not a hook that transferred them."""
    events = [agent(0), {"t": 3, "event": "transfer", "outcome": "answered", "target": "x"}]
    assert says(run(LADDER, events)) == []


# --- speech against a rung in progress


SLOW_RUNG = """
session:
  call_start:
    - silence_timer:
        after: 4s
        steps:
          - run: goodbye
chains:
  goodbye:
    - say: bye
    - wait: 3s
    - end_call: no_response
"""


def test_steps_in_progress_are_cancelled_when_the_caller_speaks() -> None:
    """Words during a rung stop it before its next step."""
    played = run(SLOW_RUNG, [agent(0), user(5)], linger=20)
    assert did(played, "end_call") == []


def test_a_barge_in_stops_a_rung_too() -> None:
    """An interruption counts before its words are transcribed."""
    played = run(SLOW_RUNG, [agent(0), {"t": 5, "event": "interruption"}], linger=3)
    assert did(played, "end_call") == []


@pytest.mark.parametrize(("end", "ends"), [("soft", []), ("strict", [(21.0, "no_response")])])
def test_end_soft_lets_speech_cancel_the_goodbye_and_strict_does_not(end: str, ends: list) -> None:
    """After the goodbye was said, only `strict` ends the call against the caller's words."""
    text = LADDER.replace("after: 8s", f"after: 8s\n        end: {end}", 1)
    played = run(text, [agent(0), user(18), agent(19)], linger=5)
    assert did(played, "end_call") == ends


def test_grace_gives_more_time_when_the_caller_asks_for_it() -> None:
    """`hold on a second` makes the first rung wait for the grace time, once."""
    grace = "grace: {when: \"event.text is matching('hold on')\", for: 30s}"
    text = LADDER.replace("after: 8s", f"after: 8s\n        {grace}", 1)
    played = run(text, [agent(0), user(2, "hold on a second"), agent(3)])
    assert says(played)[:2] == [33.0, 41.0]
    again = run(text, [agent(0), user(2, "hold on"), agent(3), user(5, "ok"), agent(6)])
    assert says(again)[0] == 14.0


def test_a_ladder_can_be_cancelled_by_name() -> None:
    """`cancel_timer` ends a ladder."""
    text = LADDER + "  user_turn:\n    - cancel_timer: silence\n"
    assert says(run(text, [agent(0), user(1), agent(2)])) == []


def test_starting_a_ladder_again_replaces_it() -> None:
    """There is one ladder of a name."""
    text = """
    session:
      user_turn:
        - silence_timer: {after: 4s, steps: [{say: hello}, {end_call: x}]}
    """
    played = run(text, [user(0), user(1), agent(2)])
    assert says(played) == [6.0]


# --- the complaints of the field (scenarios.md)


def test_complaint_prompts_spoken_over_a_filler() -> None:
    """Our own speech counts as the agent's: no nudge right after it."""
    text = LADDER + "  metric:\n    - say: one moment\n"
    events = [agent(0), {"t": 7, "event": "metric", "name": "slow", "value": 1}]
    assert did(run(text, events), "say")[1] == (15.0, "first")


def test_complaint_away_that_never_arms_again() -> None:
    """After a nudge and an answer, the next silence is nudged as well."""
    played = run(LADDER, [agent(0), user(9), agent(10), user(19), agent(20)])
    assert says(played)[:3] == [8.0, 18.0, 28.0]


def test_complaint_the_timer_running_while_the_audio_still_plays() -> None:
    """The text is complete at 0 s; its audio ends at 12 s."""
    events = [state(0, "agent", "speaking"), agent(0), state(12, "agent", "listening")]
    assert says(run(LADDER, events))[0] == 20.0
