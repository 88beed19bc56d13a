"""Journals: lines, redaction, files."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator import Orchestrator
from orchestrator.callscript import parse_script
from orchestrator.errors import EnvironmentFailure
from orchestrator.journal import DirectorySink, Journal, NoSink, Redactor, encode, file_name
from orchestrator.journal.pruner import Pruner
from orchestrator.validation import check_text
from tests.kit import run


def journal(sink: object = None, redactor: Redactor | None = None) -> Journal:
    """A journal whose clock stands at 10 s."""
    return Journal("c1", sink or NoSink(), redactor or Redactor(), lambda: 10.0)  # type: ignore[arg-type]


def test_secrets_are_masked_in_every_kind_of_line() -> None:
    """Wherever the value of a secret turns up, it is `***`."""
    j = journal(redactor=Redactor(["s3cret"]))
    step = SimpleNamespace(word="http", key="k", id=None, save=None, is_detached=False)
    j.event("user_turn", {"text": "my s3cret"})
    j.step(step, 10.0, "failed", {"s3cret": ["s3cret"]}, "HTTP 401 for s3cret")
    j.command("say", {"text": "s3cret"})
    j.note("a note", why="s3cret")
    j.timer("s3cret", "armed", why="s3cret")
    j.end(reason="s3cret")
    text = json.dumps(encode(j.records, j.redactor, j.began))
    assert "s3cret" not in text
    assert text.count("***") >= 7


def test_a_call_without_a_session_ends_for_no_reason() -> None:
    """A null, not a word that looks like one."""
    j = journal()
    j.end(final_state="failed", reason=None)
    (line,) = encode(j.records, j.redactor, j.began)
    assert line["end"] == {"final_state": "failed", "reason": None}


def test_under_privacy_redact_speech_and_numbers_are_masked_and_states_are_not() -> None:
    """Lengths remain, so that a reader still follows the call."""
    text = "privacy: redact\nsession:\n  user_turn: [{say: 'you said {{ event.text }}'}, {set: {n: 5}}]\n"
    played = run(
        text,
        [{"t": 1, "user_turn": "my number is 4711"}, {"t": 2, "state": "speaking", "who": "agent"}],
    )
    dumped = json.dumps(played.lines)
    assert "4711" not in dumped
    assert "+15550100" not in dumped
    assert '"text": "[17 characters]"' in dumped
    assert '"state": "speaking"' in dumped


def test_under_privacy_redact_errors_and_rendered_names_hold_no_speech() -> None:
    """Words of the config's author stay readable, what was rendered into them does not."""
    text = """
    privacy: redact
    session:
      user_turn:
        - escalate_transfer: {number: "{{ event.text }}", allow: ["+15550100"]}
        - timer: {name: "call {{ event.text }}", after: 1s, steps: [{end_call: "said {{ event.text }}"}]}
        - timer: {name: wrap up, after: 900ms, steps: [{log: x}]}
    """
    played = run(text, [{"t": 1, "user_turn": "my secret plan"}])
    dumped = json.dumps(played.lines)
    assert "secret plan" not in dumped
    assert '"timer": "wrap up"' in dumped


def test_a_directory_gets_one_file_a_call_and_writes_none_over(tmp_path: Path) -> None:
    """A call appends to its file; a redial of the same id, or another process, gets a new one."""
    for _ in range(2):
        sink = DirectorySink(tmp_path / "journals")
        j = journal(sink)
        j.note("one")
        j.flush()
        j.note("two")
        j.flush()
        j.flush()
        sink.close()
    files = sorted((tmp_path / "journals").iterdir())
    assert [file.name for file in files] == ["c1-2.jsonl", "c1.jsonl"]
    for file in files:
        notes = [json.loads(line)["note"] for line in file.read_text().splitlines()]
        assert notes == ["one", "two"]


def test_a_disk_that_fails_never_reaches_the_call(tmp_path: Path) -> None:
    """The failure is counted."""
    sink = DirectorySink(tmp_path / "journals")
    (tmp_path / "journals").rmdir()
    j = journal(sink)
    j.note("x")
    j.flush()
    sink.close()
    assert sink.failures == 1


def test_a_directory_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    """Before any call."""
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match="journal directory"):
        DirectorySink(tmp_path / "file" / "journals")


@pytest.mark.parametrize(
    ("call_id", "name"),
    [
        ("c-1", "c-1.jsonl"),
        ("../../etc/passwd", "_.._etc_passwd.jsonl"),
        ("", "call.jsonl"),
        ("a b\n", "a_b_.jsonl"),
    ],
)
def test_any_call_id_makes_a_safe_file_name(call_id: str, name: str) -> None:
    """An id from the wire cannot leave the directory."""
    assert file_name(call_id) == name


def test_text_that_is_no_valid_unicode_leaves_a_journal_that_can_be_played(tmp_path: Path) -> None:
    """A lone surrogate in speech does not lose the journal, nor what is made of it."""
    sink = DirectorySink(tmp_path)
    j = journal(sink)
    j.event("user_turn", {"text": "\ud83d"})
    j.flush()
    sink.close()
    text = (tmp_path / "c1.jsonl").read_text()
    assert json.loads(text)["text"] == "\ufffd"
    assert [timed.event.fields for timed in parse_script(text).events] == [{"text": "\ufffd"}]


def test_digits_during_a_recording_pause_are_in_no_line_and_in_no_transcript() -> None:
    """A card number that is read out while the recording is off stays off."""
    text = """
    session:
      agent_turn: [{recording: {pause: card, max: 60s}}]
      user_turn: [{log: "heard {{ event.text }}"}]
      dtmf: [{log: "key {{ event.digit }}"}]
      interruption: [{recording: resume}]
      call_end: [{log: {message: all, fields: {turns: "{{ call.transcript }}"}}}]
    """
    events = [
        {"t": 1, "agent_turn": "Your card number?"}, {"t": 2, "user_turn": "4242 4242"},
        {"t": 3, "dtmf": "7"}, {"t": 4, "event": "interruption"}, {"t": 5, "user_turn": "at 5 pm"},
        {"t": 6, "hangup": ""},
    ]  # fmt: skip
    dumped = json.dumps(run(text, events).lines)
    assert "4242" not in dumped
    assert "key 7" not in dumped
    assert "heard **** ****" in dumped
    assert "heard at 5 pm" in dumped


DAY = 86_400.0
HEADER = {"call": {"id": "c"}, "config": {"name": "x"}, "started_at": "2026-01-05T12:00:00Z"}


def aged(folder: Path, name: str, days: float, *lines: object) -> None:
    (folder / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    os.utime(folder / name, (time.time() - days * DAY,) * 2)


def pruned(folder: Path, days: float = 30.0, hours: int = 2) -> list[str]:
    """What is left after some hours of looking, the clock going on as it should."""
    passed = [0.0]
    pruner = Pruner(
        folder, days * DAY, wall=lambda: time.time() + passed[0], steady=lambda: passed[0]
    )
    for _ in range(hours):
        pruner.prune()
        passed[0] += 3_601.0
    return sorted(path.name for path in folder.iterdir() if path.name != ".retention")


def test_journals_are_removed_when_they_are_too_old(tmp_path: Path) -> None:
    """Those of the last days stay, and so does all that is no journal of ours."""
    end = {"t": 1, "end": {}}
    aged(tmp_path, "old.jsonl", 40, HEADER, end)
    aged(tmp_path, "new.jsonl", 1, HEADER, end)
    aged(tmp_path, "crashed.jsonl", 40, HEADER, {"t": 1, "note": "x"})
    aged(tmp_path, "live.jsonl", 30.5, HEADER, {"t": 1, "note": "x"})
    aged(tmp_path, "script.jsonl", 40, {"call": {"id": "mine"}}, {"t": 1, "event": "hangup"})
    aged(tmp_path, "rubbish.jsonl", 40, "x", 1)
    aged(tmp_path, "other.txt", 40, HEADER, end)
    aged(tmp_path, "empty.jsonl", 40)
    aged(tmp_path, "target", 40, HEADER, end)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "target")
    (tmp_path / "folder.jsonl").mkdir()
    os.utime(tmp_path / "folder.jsonl", (0, 0))
    assert pruned(tmp_path) == [
        "empty.jsonl", "folder.jsonl", "link.jsonl", "live.jsonl", "new.jsonl", "other.txt",
        "rubbish.jsonl", "script.jsonl", "target",
    ]  # fmt: skip


def test_a_jump_of_the_clock_removes_no_journal(tmp_path: Path) -> None:
    """Neither in a process that runs nor in one that starts then."""
    aged(tmp_path, "c.jsonl", 1, HEADER, {"t": 1, "end": {}})
    pruned(tmp_path)
    for _ in range(3):
        ahead = Pruner(tmp_path, 30 * DAY, wall=lambda: time.time() + 31 * DAY)
        ahead.prune()
        Pruner(tmp_path, 30 * DAY).prune()
    assert (tmp_path / "c.jsonl").exists()


def test_what_cannot_be_removed_costs_no_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is passed over, with one line in the log."""

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    aged(tmp_path, "old.jsonl", 40, HEADER, {"t": 1, "end": {}})
    assert pruned(tmp_path) == ["old.jsonl"]
    assert [r.getMessage() for r in caplog.records] == ["an old journal cannot be removed"]


def test_a_folder_that_cannot_be_looked_through_costs_no_line(tmp_path: Path) -> None:
    """Journals are written whatever becomes of old ones."""
    (tmp_path / ".retention").mkdir()
    sink = DirectorySink(tmp_path, keep_days=30)
    j = journal(sink)
    j.note("x")
    j.flush()
    sink.close()
    assert sink.failures == 0
    assert (tmp_path / "c1.jsonl").exists()


@pytest.mark.parametrize("days", ["-1", "0", "nan", "inf", "soon", "1e9"])
def test_days_to_keep_are_a_number_above_0(days: str, tmp_path: Path) -> None:
    """`-1`, which elsewhere means for ever, would remove what is being written."""
    checked = check_text("version: 1\nsession: {call_start: [{say: hi}]}\n")
    assert checked.config is not None
    with pytest.raises(EnvironmentFailure, match="above 0"):
        Orchestrator(
            checked.config, variables={"ORCHESTRATOR_JOURNAL_DAYS": days}, journals=tmp_path
        )
