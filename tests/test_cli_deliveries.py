"""`orchestrator deliveries` and `orchestrator deliver`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.action import Delivery
from orchestrator.cli import main
from orchestrator.engine import state_file
from orchestrator.outbox.sqlite import SqliteStore
from orchestrator.outbox.store import Room
from tests.engines import NatsServer
from tests.servers import Server

CONFIG = """
version: 1
name: support
connections:
  billing: {kind: http, base_url: "${BILLING_URL}"}
session:
  call_start:
    - webhook: {connection: billing, path: /calls, json: {}}
"""


def delivery(number: int, connection: str = "billing", **fields: Any) -> Delivery:
    return Delivery(
        f"h_{number}",
        connection,
        "/calls",
        b'{"a": "\x1b[31m"}',
        config="support",
        call_id=f"c{number}",
        **fields,
    )


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with one entry that waits, one dead letter to each of two endpoints, and one done."""
    path = tmp_path / "outbox.db"
    monkeypatch.setenv("ORCHESTRATOR_OUTBOX", str(path))

    async def fill() -> None:
        store = SqliteStore(path)
        for one in (delivery(1), delivery(2), delivery(3, "crm"), delivery(4)):
            await store.put(one, time.time() - 10 * 86_400)
        for entry in await store.claim(time.time(), Room(9, 9)):
            number = entry.id[-1]
            if number == "1":
                await store.later(entry, time.time() + 300, "HTTP 500")
            elif number == "4":
                await store.done(entry)
            else:
                await store.dead(entry, "HTTP 422\nx")
        await store.aclose()

    asyncio.run(fill())
    return path


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["deliveries", *args])
    code = ended.value.code
    assert isinstance(code, int)
    return code, capsys.readouterr().out


def test_list_shows_what_waits_and_what_is_dead(outbox: Path, capsys: Any) -> None:
    """A table with state, endpoint, attempts, time and reason; others when asked for."""
    code, text = run(capsys, "list")
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()[2:]] == ["h_1", "h_2", "h_3"]
    assert "in 5m" in text
    assert "HTTP 422\\nx" in text
    assert "h_4" in run(capsys, "list", "--state", "done")[1]


def test_list_can_be_narrowed_and_read_by_programs(outbox: Path, capsys: Any) -> None:
    """By endpoint and call, as JSON."""
    found = json.loads(run(capsys, "list", "--endpoint", "crm", "--format", "json")[1])
    assert [(one["id"], one["state"], one["endpoint"]) for one in found] == [
        ("h_3", "dead", "support:crm")
    ]
    found = json.loads(run(capsys, "list", "--call", "c2", "--format", "json")[1])
    assert [one["id"] for one in found] == ["h_2"]


def test_show_prints_one_safely(outbox: Path, capsys: Any) -> None:
    """Headers and body of one; control characters do not reach the terminal."""
    code, text = run(capsys, "show", "h_1")
    assert (code, "\x1b" in text) == (0, False)
    assert "\\x1b[31m" in text
    assert json.loads(run(capsys, "show", "h_2", "--format", "json")[1])["reason"] == "HTTP 422\nx"
    assert run(capsys, "show", "h_9")[0] == 1


def test_redrive_takes_back_one_or_all(outbox: Path, capsys: Any) -> None:
    """By id or endpoint; what is no dead letter gives exit code 1."""
    assert run(capsys, "redrive", "h_1")[0] == 1
    assert run(capsys, "redrive", "--all", "--endpoint", "crm") == (
        0,
        "h_3  redriven\n1 redriven\n",
    )
    code, text = run(capsys, "redrive", "--all", "--format", "json")
    assert (code, json.loads(text)["redriven"]) == (0, ["h_2"])
    assert run(capsys, "redrive")[0] == 2


def test_purge_forgets(outbox: Path, capsys: Any) -> None:
    """By id, or by state and age, and only after a yes."""
    assert (
        run(capsys, "purge", "--state", "dead", "--older-than", "300h", "--yes")[1]
        == "0 forgotten\n"
    )
    assert run(capsys, "purge", "--state", "dead", "--older-than", "200h", "--yes")[0] == 0
    assert run(capsys, "purge", "h_1", "h_9", "--yes") == (
        1,
        "h_1  forgotten\nh_9  not there\n1 forgotten\n",
    )
    assert run(capsys, "list")[1] == "no deliveries\n"


def test_looking_makes_no_file(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that finds no outbox says so and leaves none behind; one that is named must be."""
    monkeypatch.setenv("ORCHESTRATOR_OUTBOX", str(tmp_path / "no.db"))
    assert run(capsys, "list") == (0, "no deliveries\n")
    named = ("--outbox", str(tmp_path / "typo" / "no.db"))
    assert run(capsys, "list", *named)[0] == 3
    (tmp_path / "c.yaml").write_text(CONFIG)
    monkeypatch.setenv("BILLING_URL", "https://billing.test")
    with pytest.raises(SystemExit) as ended:
        main(["deliver", str(tmp_path / "c.yaml"), "--once", *named])
    assert ended.value.code == 3
    with pytest.raises(SystemExit) as ended:
        main(["deliver", str(tmp_path / "c.yaml"), "--once", "--outbox", "memory:"])
    assert ended.value.code == 2, "an option that can never do anything"
    assert [file.name for file in tmp_path.iterdir()] == ["c.yaml"]


def test_a_purge_takes_only_what_is_still_in_the_state_it_names(
    outbox: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another operator redrives while the question is asked is not forgotten."""

    async def redrive() -> None:
        store = SqliteStore(outbox)
        assert await store.redrive("h_2", time.time())
        await store.aclose()

    monkeypatch.setattr("click.confirm", lambda *_, **__: asyncio.run(redrive()))
    code, text = run(capsys, "purge", "--state", "dead")
    assert (code, text) == (1, "h_2  not there\nh_3  forgotten\n1 forgotten\n")
    assert "h_2" in run(capsys, "list", "--state", "waiting")[1]


@pytest.mark.parametrize(
    "words",
    [
        ("purge", "h_2", "--endpoint", "nothere", "--yes"),
        ("purge", "h_2", "--older-than", "30d", "--yes"),
        ("redrive", "h_2", "--endpoint", "nothere"),
        ("purge", "--state", "dead", "--older-than", "30 days", "--yes"),
        ("purge", "--state", "dead", "--older-than", "soon", "--yes"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(
    outbox: Path, capsys: Any, words: tuple[str, ...]
) -> None:
    """A filter that would be ignored, or a time that is none, changes nothing."""
    before = run(capsys, "list", "--state", "dead", "--state", "waiting")
    assert run(capsys, *words)[0] == 2
    assert run(capsys, "list", "--state", "dead", "--state", "waiting") == before


def test_days_are_a_unit_for_ages(outbox: Path, capsys: Any) -> None:
    """As people say it."""
    assert run(capsys, "purge", "--state", "dead", "--older-than", "11d", "--yes")[1] == (
        "0 forgotten\n"
    )
    assert (
        "2 forgotten" in run(capsys, "purge", "--state", "dead", "--older-than", "9d", "--yes")[1]
    )


def test_what_waits_in_the_file_of_a_server_that_was_away_is_seen(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runners keep there what they take meanwhile: it is listed, redriven, and delivered alone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = state_file("outbox.db", {"XDG_STATE_HOME": str(tmp_path)})

    async def fill() -> None:
        store = SqliteStore(file)
        for one in (delivery(1), delivery(2)):
            await store.put(one, time.time() - 10)
        entry = next(e for e in await store.claim(time.time(), Room(9, 9)) if e.id == "h_2")
        await store.dead(entry, "HTTP 422")
        await store.aclose()

    asyncio.run(fill())
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)

    async def deliver(url: str) -> list[str]:
        async with Server() as server:
            monkeypatch.setenv("BILLING_URL", server.url)
            worker = Worker(config, url, server.url, "--once")
            _, errors = await asyncio.to_thread(worker.process.communicate, timeout=20)
            assert worker.process.returncode == 0, errors
            return sorted(seen.headers["webhook-id"] for seen in server.seen)

    with NatsServer(tmp_path / "nats") as server:
        monkeypatch.setenv("ORCHESTRATOR_OUTBOX", server.url)
        listed = run(capsys, "list", "--format", "json")[1]
        assert {entry["id"]: entry["state"] for entry in json.loads(listed)} == {
            "h_1": "waiting", "h_2": "dead",
        }  # fmt: skip
        assert run(capsys, "redrive", "--all")[1] == "h_2  redriven\n1 redriven\n"
        sqlite3.connect(file).execute("update entries set due = 0, owner = ''").connection.commit()
        assert asyncio.run(deliver(server.url)) == ["h_1", "h_2"]
        assert run(capsys, "list")[1] == "no deliveries\n"
    with pytest.raises(SystemExit) as ended:
        main(["deliveries", "list"])
    assert ended.value.code == 3
    assert str(file) in capsys.readouterr().err


def test_another_file_is_a_failure_of_the_environment(tmp_path: Path, capsys: Any) -> None:
    """Exit code 3, with the reason."""
    (tmp_path / "notes.txt").write_text("no database at all " * 90)
    assert run(capsys, "list", "--outbox", str(tmp_path / "notes.txt"))[0] == 3
    assert run(capsys, "list", "--outbox", "memory:")[0] == 3


class Worker:
    """`orchestrator deliver` as a process of its own."""

    def __init__(self, config: Path, outbox: str, url: str, *options: str) -> None:
        command = [
            sys.executable,
            "-m",
            "orchestrator",
            "deliver",
            str(config),
            "--outbox",
            outbox,
            *options,
        ]
        environment = {**os.environ, "BILLING_URL": url}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


def test_the_worker_delivers_and_ends_in_order(outbox: Path, tmp_path: Path) -> None:
    """It sends what is due, flushes on SIGTERM, and exits with 0."""
    config = tmp_path / "support.yaml"
    config.write_text(CONFIG)

    async def main() -> None:
        async with Server() as server:
            store = SqliteStore(outbox)
            worker = Worker(config, str(outbox), server.url)
            for number in range(10, 15):
                await store.put(delivery(number), time.time())
            while await store.count("done") < 6:  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(0.02)
            code, errors = await asyncio.to_thread(worker.end)
            assert code == 0, errors
            assert "ended; 1 wait in the outbox" in errors
            assert sorted(seen.headers["webhook-id"] for seen in server.seen) == [
                f"h_{n}" for n in range(10, 15)
            ]
            await store.aclose()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_once_sends_what_is_due_and_ends(outbox: Path, tmp_path: Path) -> None:
    """For cron: no signal is needed."""
    config = tmp_path / "support.yaml"
    config.write_text(CONFIG)

    async def main() -> None:
        async with Server() as server:
            store = SqliteStore(outbox)
            await store.put(delivery(10), time.time())
            worker = Worker(config, str(outbox), server.url, "--once")
            _, errors = await asyncio.to_thread(worker.process.communicate, timeout=20)
            assert (worker.process.returncode, len(server.seen)) == (0, 1), errors
            await store.aclose()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_virtual_time_makes_no_outbox(tmp_path: Path) -> None:
    """Playing a call with webhooks touches neither the network nor the outbox of whoever plays."""
    config, call = tmp_path / "support.yaml", tmp_path / "c.jsonl"
    config.write_text(CONFIG)
    call.write_text('{"t": 1, "event": "hangup"}\n')
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "BILLING_URL": "https://x.test",
    }
    del environment["ORCHESTRATOR_OUTBOX"]
    command = [sys.executable, "-m", "orchestrator", "run", str(config), "--call", str(call)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "state").exists()


def test_an_endpoint_is_named_whole(outbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`rm` is no name for `crm`: what is purged by it would be somebody else's."""
    for name in ("rm", "m", "port:crm", ""):
        found = run(capsys, "list", "--endpoint", name, "--format", "json")[1]
        assert json.loads(found) == []
    run(capsys, "purge", "--state", "dead", "--endpoint", "rm", "--yes")
    for name in ("crm", "support:crm"):
        found = run(capsys, "list", "--endpoint", name, "--format", "json")[1]
        assert len(json.loads(found)) == 1
