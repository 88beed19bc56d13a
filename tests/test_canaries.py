"""Secrets are planted wherever a secret may be, and every command's output is searched for them."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path

import pytest

from orchestrator.compiler import compile_config
from orchestrator.errors import OrchestratorError
from orchestrator.validation import load_config
from orchestrator.written import written
from tests.canaries import (
    NEEDLES,
    VARIABLES,
    canary,
    command,
    environment,
    leaks,
    leaks_in,
    project,
    replies,
)
from tests.servers import Server


def test_the_search_finds_every_form() -> None:
    """A search that finds nothing because it cannot would be worse than none."""
    import base64

    for before in range(3):
        text = base64.b64encode(b"shop:"[:before] + canary(1).encode() + b" and more")
        assert any(needle in text for needle in NEEDLES.values())
    assert leaks("x", f"a {canary(1)} b")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with the config, a call and a call test."""
    return project(tmp_path)


STATIC = [
    *[("validate", "canary.yaml", "--format", form) for form in ("text", "json", "github", "sarif", "junit")],
    ("validate", "canary.yaml", "--check-env"),
    *[("explain", "canary.yaml", "--format", form) for form in ("text", "json", "mermaid")],
    ("schema", "--with", "tests.secretive"),
    *[("actions", "--with", "tests.secretive", "--format", form) for form in ("text", "json", "markdown")],
    ("actions", "call_pager", "--with", "tests.secretive"),
    *[("run", "canary.yaml", "--call", "call.jsonl", "--journal-dir", "journals", "--format", form) for form in ("text", "json")],
    *[("test", "canary.calltest.yaml", "-v", "--coverage", "--coverage-html", f"{form}.html", "--format", form) for form in ("text", "json", "junit")],
    *[("replay", "canary.yaml", "--calls", "journals", "--format", form) for form in ("text", "json", "markdown")],
]  # fmt: skip
REAL = [
    ("run", "canary.yaml", "--call", "call.jsonl", "--realtime", "--journal-dir", "journals"),
    ("run", "canary.yaml", "--call", "call.jsonl", "--realtime", "--format", "json"),
    ("journal", "list", "--format", "json"),
    ("journal", "show", "c1"),
    ("journal", "show", "c1", "--format", "json"),
    ("journal", "to-test", "journals/c1.jsonl"),
    ("replay", "canary.yaml", "--calls", "journals", "--format", "markdown"),
    ("console", "canary.yaml", "--verbose", "--dialog", "openai:model"),
    ("deliver", "canary.yaml", "--once"),
    ("deliveries", "list", "--state", "waiting", "--state", "dead", "--state", "done"),
    ("deliveries", "list", "--state", "waiting", "--state", "dead", "--format", "json"),
    ("deliveries", "redrive", "--all"),
]  # fmt: skip


def test_no_command_shows_a_secret(folder: Path) -> None:
    """Commands that play, check and describe, in every format; and the files that they write."""
    found: list[str] = []
    for form in ("text", "json"):
        env = environment(folder, "http://127.0.0.1:1", ORCHESTRATOR_LOG=form)
        for args in STATIC if form == "text" else STATIC[-6:]:
            code, output = command(folder, env, *args)
            assert code in (0, 1), (args, output)
            found += leaks(" ".join(args), output)
    assert (folder / "junit.html").is_file()
    assert found + leaks_in(folder) == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_real_call_shows_a_secret(folder: Path, form: str) -> None:
    """Real requests that succeed, fail, hang, are redirected or reach nobody; then the outbox."""

    async def main() -> list[str]:
        found: list[str] = []
        async with Server(*replies()) as server:
            env = environment(folder, server.url, ORCHESTRATOR_LOG=form, OPENAI_BASE_URL=server.url)
            for args in REAL:
                text = "hello\n/wait 9\n" if args[0] == "console" else ""
                code, output = await asyncio.to_thread(command, folder, env, *args, text=text)
                assert code in (0, 1), (args, output)
                found += leaks(" ".join(args), output)
                if args[:2] == ("deliveries", "list") and "json" in args:
                    found += await asyncio.to_thread(_each_delivery, folder, env, output)
            sent = b"".join(
                f"{seen.target} {list(seen.headers.values())}".replace("\\", "").encode()
                + seen.body
                for seen in server.seen
            )
            for number in (1, 4, 7, 9, 10, 11):  # they did arrive where they belong
                forms = written(canary(number)).values()
                assert any(form.encode() in sent for form in forms), number
        return found

    assert asyncio.run(main()) + leaks_in(folder) == []
    journal = (folder / "journals" / "c1.jsonl").read_text()
    assert "the pager refused ***" in journal
    assert "KeyError: '***'" in journal


def _each_delivery(folder: Path, env: dict[str, str], listed: str) -> list[str]:
    import json

    ids = (
        [entry["id"] for entry in json.loads(listed[listed.index("[") :])] if "[" in listed else []
    )
    assert ids, listed
    found = []
    for number in ids:
        for form in ("text", "json"):
            _, output = command(folder, env, "deliveries", "show", number, "--format", form)
            found += leaks(f"deliveries show {form}", output)
    return found


WRONG = [
    "connections: {a: {kind: http, base_url: '${BEARER_TOKEN}'}}",
    "connections: {a: {kind: http, base_url: 'https://x.example', timeout: '${BEARER_TOKEN}'}}",
    "connections: {a: {kind: http, base_url: 'https://x.example', auth: {header: {name: '${BEARER_TOKEN}', value: a}}}}",
    "connections: {a: {kind: http, base_url: 'https://x.example', headers: {'a b': '${BEARER_TOKEN}'}}}",
    "connections: {a: {kind: http, base_url: 'https://user:${DB_PASSWORD}@x.example'}}",
    "connections: {a: {kind: http, base_url: 'https://x.example', signing_secret: 'whsec_${BEARER_TOKEN}'}}",
    "connections: {a: {kind: sql, url: '${BEARER_TOKEN}'}}",
    "connections: {a: {kind: sql, url: 'mysql://user:${DB_PASSWORD}@host/db'}}",
]


@pytest.mark.parametrize("line", WRONG)
def test_no_complaint_about_a_secret_shows_it(line: str, tmp_path: Path) -> None:
    """A variable of the wrong form is named, its value is not."""
    file = tmp_path / "c.yaml"
    file.write_text(f"version: 1\n{line}\nsession: {{call_start: [{{http: {{connection: a}}}}]}}\n")
    _, output = command(tmp_path, environment(tmp_path, "x"), "validate", str(file), "--check-env")
    found = leaks("validate", output)
    try:
        compile_config(load_config(file), VARIABLES)
    except OrchestratorError as error:
        found += leaks("the error", "".join(traceback.format_exception(error)) + repr(error))
    _, output = command(tmp_path, environment(tmp_path, "x"), "console", str(file), text="hi\n")
    assert found + leaks("console", output) == []


@pytest.mark.parametrize(
    "url", ["http://user:cnry-secret-40@127.0.0.1:1/x", "http://127.0.0.1:1/x?key=cnry-secret-41"]
)
def test_the_address_of_a_dialog_machine_may_hold_a_secret(url: str, folder: Path) -> None:
    """An endpoint that is away is named without it."""
    (folder / "plain.yaml").write_text("version: 1\nsession: {user_turn: [{log: heard}]}\n")
    _, output = command(
        folder,
        environment(folder, "x"),
        "console",
        "plain.yaml",
        "-v",
        "--dialog",
        url,
        text="hi\n/wait 1\n",
    )
    assert "127.0.0.1:1" in output
    assert leaks("console", output) == []
