"""Tests of `orchestrator run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli import run_cli, run_process
from tests.played import LOOKUP, SUPPORT

CALL = '{"call": {"id": "c1"}}\n{"t": 1, "user_turn": "a human"}\n{"t": 3, "hangup": "caller"}\n'


def segments(number: int) -> str:
    """A recording with overlaps, noise and a long pause, a little different for each number."""
    rows = [{"call_id": f"r{number}", "source": "made up"}]
    for i in range(6):
        t = 10.0 * i + number / 10
        rows.append({"t": t, "dur": 3.0, "who": "agent", "text": f"question {i}"})
        text = "a human please" if i == number % 6 else "[noise]" if i % 3 else "well"
        rows.append({"t": t + 2.5, "dur": 1.0, "who": "caller", "text": text})
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config to play calls through."""
    path = tmp_path / "support.yaml"
    path.write_text(SUPPORT)
    return path


def test_a_call_is_played_and_counted(tmp_path: Path, config: Path) -> None:
    """One row a call, and the totals."""
    (tmp_path / "c1.jsonl").write_text(CALL)
    ran = run_cli("run", config, "--call", tmp_path / "c1.jsonl")
    assert ran.code == 0
    rows = ran.out.splitlines()
    assert rows[2].split() == ["c1", "3.0", "1", "2", "4", "0", "0", "1", "1", "0", "1", "hangup"]
    assert rows[4].split()[:4] == ["1", "calls", "3.0", "1"]


def test_the_same_input_gives_the_same_journals(tmp_path: Path, config: Path) -> None:
    """Thirty recordings, played twice: every file is the same to the byte."""
    for number in range(30):
        (tmp_path / f"r{number}.jsonl").write_text(segments(number))
    files = sorted(tmp_path.glob("r*.jsonl"))
    outs = [run_cli("run", config, "--segments", *files, "--journal-dir", tmp_path / name)
            for name in ("one", "two")]  # fmt: skip
    assert outs[0].out == outs[1].out
    assert "30 calls" in outs[0].out
    journals = sorted((tmp_path / "one").iterdir())
    assert len(journals) == 30
    for journal in journals:
        assert journal.read_bytes() == (tmp_path / "two" / journal.name).read_bytes()


def test_recorded_calls_give_the_same_journals(
    tmp_path: Path, config: Path, recorded_calls: list[Path]
) -> None:
    """The same with phone calls between real people."""
    for name in ("one", "two"):
        folder = recorded_calls[0].parent
        ran = run_cli("run", config, "--segments", folder, "--journal-dir", tmp_path / name)
        assert ran.code == 0
    for journal in (tmp_path / "one").iterdir():
        assert journal.read_bytes() == (tmp_path / "two" / journal.name).read_bytes()


def test_a_journal_can_be_played_again(tmp_path: Path, config: Path) -> None:
    """A journal is a call script: played again it gives itself."""
    (tmp_path / "c1.jsonl").write_text(CALL)
    first, second = tmp_path / "first", tmp_path / "second"
    run_cli("run", config, "--call", tmp_path / "c1.jsonl", "--journal-dir", first)
    run_cli("run", config, "--call", first, "--journal-dir", second)
    assert (first / "c1.jsonl").read_bytes() == (second / "c1.jsonl").read_bytes()


def test_a_malformed_call_leaves_the_others_alone(tmp_path: Path, config: Path) -> None:
    """One message for each, with its place; exit code 3, as one is not there."""
    (tmp_path / "a.jsonl").write_text('{"t": 1, "user_trun": "x"}\n')
    (tmp_path / "b.jsonl").write_text(CALL)
    (tmp_path / "c.jsonl").write_bytes(b"\xff")
    names = [tmp_path / f"{name}.jsonl" for name in "abcd"]
    ran = run_cli("run", config, "--call", *names)
    assert ran.code == 3
    assert "1 calls" in ran.out
    messages = ran.err.splitlines()
    assert len(messages) == 3
    assert messages[0].startswith(f"error: {tmp_path}/a.jsonl:1: ")
    assert "did you mean 'user_turn'" in messages[0]
    assert "not UTF-8" in messages[1]


def test_calls_of_one_run_share_the_memory(tmp_path: Path) -> None:
    """What the first call remembered, the second one knows."""
    config = tmp_path / "m.yaml"
    config.write_text(
        "version: 1\nname: m\nsession:\n  user_turn:\n    - {remember: seen}\n"
        "    - {when: \"memory.count('seen', '1h') == 2\", do: [{say: again}]}\n"
    )
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(CALL.replace("c1", name))
    ran = run_cli("run", config, "--call", tmp_path, "--format", "json")
    assert [call["says"] for call in json.loads(ran.out)["calls"]] == [0, 1]


def test_outside_systems_answer_what_is_given(tmp_path: Path) -> None:
    """The answers of --given are those of call tests."""
    config, given = tmp_path / "l.yaml", tmp_path / "given.yaml"
    config.write_text(LOOKUP)
    given.write_text("find: {name: Ada}\n")
    (tmp_path / "c1.jsonl").write_text(CALL)
    run_cli("run", config, "--call", tmp_path / "c1.jsonl", "--given", given,
            "--journal-dir", tmp_path / "j")  # fmt: skip
    assert "Hello Ada" in (tmp_path / "j" / "c1.jsonl").read_text()


def test_a_mistake_in_the_answers_is_told_with_its_place(tmp_path: Path, config: Path) -> None:
    """Nothing is played with answers that nobody asks for."""
    given = tmp_path / "given.yaml"
    given.write_text("remembr: 1\n")
    ran = run_cli("run", config, "--call", tmp_path, "--given", given)
    assert ran.code == 1
    assert f"{given}:1:1: no step of the config has the id, connection or action" in ran.err


def test_calls_of_one_id_have_a_journal_each(tmp_path: Path, config: Path) -> None:
    """The second one does not overwrite the first."""
    (tmp_path / "c1.jsonl").write_text(CALL)
    (tmp_path / "c2.jsonl").write_text(CALL)
    folder = tmp_path / "j"
    run_cli("run", config, "--call", tmp_path / "c1.jsonl", tmp_path / "c2.jsonl",
            "--journal-dir", folder)  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == ["c1-2.jsonl", "c1.jsonl"]


def test_no_calls_is_wrong_usage(config: Path) -> None:
    """There is nothing to do."""
    assert run_cli("run", config).code == 2


def test_real_time_takes_its_time_and_gives_the_same_commands(tmp_path: Path, config: Path) -> None:
    """A call in real time, in a process of its own, ends with the same counts."""
    (tmp_path / "c1.jsonl").write_text(
        CALL.replace('"t": 1', '"t": 0.1').replace('"t": 3', '"t": 0.3')
    )
    ran = run_process("run", config, "--call", "c1.jsonl", "--realtime", "--format", "json",
                      "--journal-dir", "j", cwd=tmp_path)  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    (call,) = json.loads(ran.stdout)["calls"]
    assert (call["says"], call["transfers"], call["state"]) == (1, 1, "hangup")
    assert call["seconds"] >= 0.3
    assert (tmp_path / "j" / "c1.jsonl").exists()


def test_in_real_time_what_is_not_delivered_stays_in_the_outbox_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next worker sends it; here nobody listens."""
    monkeypatch.setenv("ORCHESTRATOR_OUTBOX", str(tmp_path / "o.db"))
    (tmp_path / "c.jsonl").write_text(
        CALL.replace('"t": 1', '"t": 0.1').replace('"t": 3', '"t": 0.3')
    )
    config = tmp_path / "c.yaml"
    config.write_text(
        "version: 1\nname: c\nsession:\n  call_start:\n"
        "    - webhook: {url: 'http://localhost:9/in', json: {a: 1}}\n"
    )
    ran = run_process("run", config, "--call", "c.jsonl", "--realtime", cwd=tmp_path)
    assert ran.returncode == 0
    kept = run_process("deliveries", "list", "--format", "json", cwd=tmp_path)
    assert [one["state"] for one in json.loads(kept.stdout)] == ["waiting"]


def test_a_call_that_is_not_there_is_exit_code_3(tmp_path: Path, config: Path) -> None:
    """Nothing was played, so there is no table."""
    ran = run_cli("run", config, "--call", tmp_path / "nope.jsonl")
    assert (ran.code, ran.out) == (3, "")


def test_only_malformed_calls_give_no_table(tmp_path: Path, config: Path) -> None:
    """Exit code 1, and the message says why."""
    (tmp_path / "a.jsonl").write_text("not a call")
    ran = run_cli("run", config, "--call", tmp_path / "a.jsonl")
    assert (ran.code, ran.out) == (1, "")


def test_a_plugin_of_the_current_folder_is_found(tmp_path: Path) -> None:
    """The command finds what `python -m` would find."""
    (tmp_path / "own_actions_here.py").write_text(
        "from orchestrator.action import Action\n\n\nclass RingBell(Action):\n"
        '    """Ring."""\n\n    def run(self, ctx):\n        return None\n'
    )
    (tmp_path / "c.yaml").write_text(
        "version: 1\nplugins: [own_actions_here]\nsession:\n  call_start:\n    - ring_bell: {}\n"
    )
    ran = run_process("validate", "--check-env", "c.yaml", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
