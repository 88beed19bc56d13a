"""Call scripts: their two forms, their mistakes, and the importer of speech segments."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.callscript import (
    CallScript,
    TimedEvent,
    event_from_mapping,
    import_segments,
    parse_script,
    read_script,
    write_script,
)
from orchestrator.errors import EnvironmentFailure, ScriptError
from orchestrator.runtime import CallEvent

HEADER = '{"call": {"id": "c1", "user_number": "+15550100", "data": {"tier": "gold"}}}'


def test_a_script_is_a_header_and_events_in_order() -> None:
    """Both forms of an event give the same thing."""
    script = parse_script(
        f'{HEADER}\n{{"t": 1, "event": "user_turn", "text": "hi"}}\n'
        '{"t": 2.5, "user_turn": "hi"}\n'
    )
    turn = CallEvent("user_turn", {"text": "hi"})
    assert script.events == (TimedEvent(1.0, turn), TimedEvent(2.5, turn))
    assert script.offer.call_id == "c1"
    assert script.offer.user_number == "+15550100"
    assert script.offer.data == {"tier": "gold"}


def test_each_offer_has_data_of_its_own() -> None:
    """A call that changes its data changes no other play of the same script."""
    script = parse_script(HEADER)
    assert script.offer.data is not script.offer.data


@pytest.mark.parametrize(
    ("short", "name", "fields"),
    [
        ({"agent_turn": "How can I help?"}, "agent_turn", {"text": "How can I help?"}),
        ({"dtmf": "5"}, "dtmf", {"digit": "5"}),
        ({"state": "speaking", "who": "caller"}, "state", {"state": "speaking", "who": "caller"}),
        ({"interruption": None}, "interruption", {}),
        ({"interruption": True}, "interruption", {}),
        ({"transfer": "refused", "target": "q"}, "transfer", {"outcome": "refused", "target": "q"}),
        ({"hangup": "caller"}, "hangup", {"reason": "caller"}),
        ({"hangup": None}, "hangup", {}),
        ({"custom.score": {"value": 3}}, "custom.score", {"value": 3}),
        ({"custom.score": 3}, "custom.score", {"value": 3}),
        ({"voicemail": "beep"}, "voicemail", {"stage": "beep"}),
    ],
)
def test_the_short_form_gives_the_main_field(short: Any, name: str, fields: Any) -> None:
    """`user_turn: hello` is the same as `event: user_turn, text: hello`."""
    assert event_from_mapping({"t": 0, **short}) == TimedEvent(0.0, CallEvent(name, fields))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON at column 2"),
        ("[1]", "expected one object a line"),
        ('{"event": "user_turn", "text": "x"}', "'t' is missing"),
        ('{"t": -1, "user_turn": "x"}', "from 0 to"),
        ('{"t": NaN, "user_turn": "x"}', "NaN is not a number"),
        ('{"t": 1e999, "user_turn": "x"}', "from 0 to"),
        ('{"t": 9999999, "user_turn": "x"}', "from 0 to"),
        ('{"t": "1", "user_turn": "x"}', "must be a number of seconds such as 1.5, got '1'"),
        ('{"t": true, "user_turn": "x"}', "must be a number of seconds"),
        ('{"t": 1, "event": "user_trun", "text": "x"}', "did you mean 'user_turn'"),
        ('{"t": 1, "user-turn": "x"}', "did you mean 'user_turn'"),
        ('{"t": 1, "user_turn": "hi", "dtmf": "1"}', "'user_turn' and 'dtmf' are two events"),
        ('{"t": 1, "state": "idle", "hangup": "x"}', "'state' and 'hangup' are two events"),
        ('{"t": 1, "event": ["user_turn"]}', "must be the name of an event"),
        ('{"t": 1, "event": "user_turn"}', "'user_turn' needs 'text' (text)"),
        ('{"t": 1, "event": "user_turn", "txt": "x"}', "is 'txt' a misspelling of it"),
        (
            '{"t": 1, "event": "user_turn", "text": "x", "langauge": "en"}',
            "did you mean 'language'",
        ),
        ('{"t": 1, "user_turn": 5}', "'text' must be text, got 5; put it in quotes"),
        ('{"t": 1, "dtmf": 5}', "got 5; put it in quotes"),
        ('{"t": 1, "state": "speakin", "who": "agent"}', "did you mean 'speaking'"),
        ('{"t": 1, "event": "metric", "name": "x", "value": true}', "must be a number"),
        ('{"t": 1, "event": "metric", "name": "x", "value": 1e999}', "must be a number"),
        ('{"t": 1, "event": "silence"}', "unknown event 'silence'"),
        ('{"t": 1, "user_turn": "\\ud800"}', "surrogate"),
        ('{"t": 1, "user_turn": "' + "x" * 10_000_000 + '"}', "longer than"),
        ("[" * 100_000, "not usable JSON"),
        ('{"t": ' + "9" * 5000 + ', "user_turn": "x"}', "not usable JSON"),
        ('{"t": 1, "custom.x": {"event": 1}}', "'event' cannot be a field"),
        ('{"call": []}', "'call' must be a mapping"),
        ('{"call": {"user_number": 15550100}}', "'user_number' must be text or null"),
        ('{"call": {"direction": "in"}}', "must be one of inbound, outbound"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_how_to_mend_it(line: str, message: str) -> None:
    """Whatever is wrong on a line is a ScriptError with its place."""
    with pytest.raises(ScriptError) as caught:
        parse_script(f"\n{line}\n", "call.jsonl")
    assert str(caught.value).startswith("call.jsonl:2: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_time_that_goes_back_is_refused() -> None:
    """A script is not sorted behind its author's back."""
    with pytest.raises(ScriptError, match=r"f:2: 't' goes back from 2 to 1"):
        parse_script('{"t": 2, "user_turn": "a"}\n{"t": 1, "user_turn": "b"}', "f")


@pytest.mark.parametrize("line", [HEADER, f'{{"t": 0, "user_turn": "x"}}\n{HEADER}'])
def test_the_call_line_comes_first_and_once(line: str) -> None:
    """A second header, or a late one, would be silently lost."""
    with pytest.raises(ScriptError, match="must be the first one"):
        parse_script(f"{HEADER}\n{line}")


@pytest.mark.parametrize("text", ["", "\n\n", '{"step": "x"}'])
def test_a_file_without_events_is_refused(text: str) -> None:
    """An empty script is a mistake, not a call without events."""
    with pytest.raises(ScriptError, match="no events in it"):
        parse_script(text)


def test_segments_given_as_a_script_are_named() -> None:
    """The other option of `run` takes them."""
    with pytest.raises(ScriptError, match="play them with --segments"):
        parse_script('{"t": 0.5, "dur": 1.0, "who": "caller", "text": "hi"}')


def test_a_journal_is_a_call_script() -> None:
    """Decisions, steps and commands are passed over, and so is what the runtime makes itself."""
    lines = [
        HEADER,
        '{"t": 0, "event": "call_start", "scope": "runner"}',
        '{"t": 0, "event": "custom.vip", "from": "hook"}',
        '{"t": 1, "event": "user_turn", "text": "hi", "seq": 4}',
        '{"t": 1, "step": "say", "status": "failed", "error": "no line"}',
        '{"t": 1, "command": "say", "text": "hello"}',
        '{"t": 2, "event": "call_end", "state": "hangup"}',
    ]
    events = parse_script("\n".join(lines)).events
    assert events == (TimedEvent(1.0, CallEvent("user_turn", {"text": "hi"})),)


def test_the_start_of_the_call_cannot_be_scripted() -> None:
    """In a call test it would be taken for an event that is played."""
    with pytest.raises(ScriptError, match="comes by itself"):
        event_from_mapping({"t": 0, "call_start": None})


@pytest.mark.parametrize("value", [None, 3, "x", ["t"]])
def test_an_event_that_is_no_mapping_is_refused(value: object) -> None:
    """A list item of a call test may be anything."""
    with pytest.raises(ScriptError, match="expected a mapping"):
        event_from_mapping(value)


def test_separators_inside_text_do_not_end_a_line() -> None:
    """A transcript may hold U+2028, which `str.splitlines` would cut at."""
    script = parse_script('\ufeff{"t": 0, "user_turn": "a\u2028b"}\r\n')
    assert script.events[0].event.fields == {"text": "a\u2028b"}


def test_files_are_read_as_utf_8(tmp_path: Path) -> None:
    """A missing file is the environment's failure, another encoding the author's."""
    file = tmp_path / "call.jsonl"
    with pytest.raises(EnvironmentFailure, match="cannot read"):
        read_script(file)
    file.write_bytes(b'{"t": 0, "user_turn": "x"}\n{"t": 1, "user_turn": "\xe9"}')
    with pytest.raises(ScriptError, match=r"call\.jsonl:2: not UTF-8"):
        read_script(file)
    file.write_text('{"t": 0, "user_turn": "x"}')
    assert read_script(file).call_id == "call"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
event_like = st.dictionaries(
    st.sampled_from(
        ["t", "event", "text", "user_turn", "call", "state", "who", "custom.x", "hangup", "from"]
    ),
    json_values | st.sampled_from(["user_turn", "state", "speaking", "agent", "custom.y"]),
)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_text_raises_anything_else(text: str) -> None:
    """Rubbish is a ScriptError or a script."""
    for parse in (parse_script, import_segments):
        try:
            parse(text)
        except ScriptError:
            continue


@given(st.lists(event_like | json_values, max_size=4))
def test_no_json_raises_anything_else(entries: list[Any]) -> None:
    """Any JSON at all is a ScriptError or a script, and a script can be written and read again."""
    text = "\n".join(json.dumps(entry) for entry in entries)
    try:
        script = parse_script(text)
    except ScriptError:
        return
    assert parse_script(write_script(script), script.source) == script


def test_an_empty_script_is_written_and_read_again() -> None:
    """A call of which nothing is known and in which nothing happens is a call."""
    script = parse_script('{"call": {}}')
    assert parse_script(write_script(script), script.source) == script


def test_the_time_of_day_of_a_journal_is_kept() -> None:
    """A recorded call can be played at the time at which it was made."""
    script = parse_script('{"call": {}, "started_at": "2026-01-05T12:00:00+02:00"}\n')
    assert str(script.started) == "2026-01-05 10:00:00+00:00"
    assert parse_script(write_script(script), script.source) == script


def test_a_time_of_day_that_is_none_is_refused() -> None:
    """The message shows a good one."""
    with pytest.raises(ScriptError, match="'started_at' must be a time such as"):
        parse_script('{"call": {}, "started_at": "noon"}\n')


@given(st.binary())
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    """A file may hold anything."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(raw)
        file.flush()
        try:
            read_script(file.name)
        except ScriptError:
            return


@given(json_values | event_like)
def test_no_mapping_raises_anything_else(value: Any) -> None:
    """Call tests hand in whatever YAML gave."""
    try:
        event_from_mapping(value)
    except ScriptError:
        return


# --- the importer ------------------------------------------------------------------------------


def segments(*rows: tuple[float, float, str, str]) -> str:
    lines: list[dict[str, Any]] = [{"call_id": "c7", "source": "test"}]
    lines += [{"t": t, "dur": dur, "who": who, "text": text} for t, dur, who, text in rows]
    return "\n".join(map(json.dumps, lines))


def told(script: CallScript) -> list[tuple[float, str]]:
    def word(event: CallEvent) -> str:
        return " ".join([event.name, *(str(v) for v in event.fields.values())])

    return [(timed.t, word(timed.event)) for timed in script.events]


def test_an_exchange_becomes_states_and_turns() -> None:
    """The agent's turn is written before it is heard, the caller's is known at its end."""
    script = import_segments(segments((0, 2, "agent", "hello"), (3, 1.5, "caller", "hi [noise]")))
    assert script.call_id == "c7"
    assert told(script) == [
        (0, "state speaking agent"),
        (0, "agent_turn hello"),
        (2, "state listening agent"),
        (3, "state speaking caller"),
        (4.5, "state listening caller"),
        (4.5, "user_turn hi"),
        (5.0, "hangup end of recording"),
    ]


def test_a_caller_inside_an_agent_segment_interrupts_it() -> None:
    """The interruption comes first, then the agent's turn, marked interrupted."""
    script = import_segments(segments((0, 4, "agent", "welcome to"), (1, 1, "caller", "stop")))
    assert told(script) == [
        (0, "state speaking agent"),
        (1, "state speaking caller"),
        (1, "interruption"),
        (1, "agent_turn welcome to True"),
        (2, "state listening caller"),
        (2, "user_turn stop"),
        (4, "state listening agent"),
        (4.5, "hangup end of recording"),
    ]


@pytest.mark.parametrize("text", ["", "[noise]", "<unk> ~ [baby]"])
def test_a_segment_without_words_is_noise(text: str) -> None:
    """Noise has states and neither is a turn nor interrupts."""
    script = import_segments(segments((0, 4, "agent", "welcome"), (1, 1, "caller", text)))
    assert [word for _, word in told(script)] == [
        "state speaking agent", "agent_turn welcome", "state speaking caller",
        "state listening caller", "state listening agent", "hangup end of recording",
    ]  # fmt: skip


def test_a_cut_off_word_is_a_word() -> None:
    """`thir~` was said; only a lone `~` was not."""
    script = import_segments(segments((0, 1, "caller", "thir~ thirty")))
    assert (1, "user_turn thir~ thirty") in told(script)


def test_overlapping_segments_of_one_speaker_are_one_stretch() -> None:
    """A speaker does not stop speaking while another segment of theirs goes on."""
    script = import_segments(segments((0, 3, "caller", "a"), (1, 1, "caller", "b")))
    assert told(script) == [
        (0, "state speaking caller"),
        (2, "user_turn b"),
        (3, "state listening caller"),
        (3, "user_turn a"),
        (3.5, "hangup end of recording"),
    ]


def test_what_ends_comes_before_what_starts_at_the_same_time() -> None:
    """An agent that answers at once answers a turn that is complete."""
    script = import_segments(segments((0, 1, "caller", "a"), (1, 1, "agent", "b")))
    assert told(script)[1:5] == [
        (1, "state listening caller"),
        (1, "user_turn a"),
        (1, "state speaking agent"),
        (1, "agent_turn b"),
    ]


def test_a_segment_without_length_still_starts_before_it_ends() -> None:
    """Zero duration is odd but no mistake."""
    script = import_segments(segments((1, 0, "caller", "a")))
    assert [word for _, word in told(script)][:3] == [
        "state speaking caller", "state listening caller", "user_turn a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"t": 0, "dur": -1, "who": "agent", "text": ""}', "'dur' must be from 0"),
        ('{"t": 0, "who": "agent", "text": ""}', "'dur' is missing"),
        ('{"t": 0, "dur": 1, "text": ""}', "a segment needs 'who'"),
        ('{"t": 0, "dur": 1, "who": "agnet", "text": ""}', "did you mean 'agent'"),
        ('{"t": 0, "dur": 1, "who": "agent", "text": null}', "'text' must be text"),
        ("nonsense", "not JSON"),
    ],
)
def test_a_bad_segment_is_named_with_its_line(line: str, message: str) -> None:
    """The importer's mistakes read like the script's."""
    with pytest.raises(ScriptError) as caught:
        import_segments(f"{segments((0, 1, 'agent', 'x'))}\n{line}", "seg.jsonl")
    assert str(caught.value).startswith("seg.jsonl:3: ")
    assert message in str(caught.value)


def test_segments_out_of_order_are_refused() -> None:
    """The order of the file is the order of the recording."""
    with pytest.raises(ScriptError, match="goes back"):
        import_segments(segments((5, 1, "agent", "x"), (4, 1, "caller", "y")))


def test_a_file_without_segments_is_refused() -> None:
    """Only a header is no recording."""
    with pytest.raises(ScriptError, match="no segments"):
        import_segments(segments())


def test_recorded_calls_import_alike_each_time(recorded_calls: list[Path]) -> None:
    """Every recorded call becomes a well-formed script, the same on each run."""
    for file in recorded_calls:
        script = import_segments(file.read_text(), file.name)
        assert script == import_segments(file.read_text(), file.name)
        assert parse_script(write_script(script), file.name) == script
        spoken = [e.event for e in script.events if e.event.name == "state"]
        for who in ("agent", "caller"):
            states = [e.fields["state"] for e in spoken if e.fields["who"] == who]
            assert states == ["speaking", "listening"] * (len(states) // 2)
