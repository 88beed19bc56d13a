"""Secrets are planted wherever a secret may be, and every output is searched for them."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator import AgentRunner, Orchestrator
from orchestrator.callscript import parse_script
from orchestrator.compiler import compile_config
from orchestrator.errors import OrchestratorError
from orchestrator.memory import Memory
from orchestrator.outboxes.choice import Choice
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.validation import load_config
from orchestrator.written import written
from tests.canaries import NEEDLES, VARIABLES, canary, leaks, leaks_in
from tests.cli import ROOT
from tests.engines import NatsServer
from tests.servers import Reply, Server

CONFIG = """
version: 1
name: canary
plugins: [tests.secretive]
vars: {api_token: "${VARS_TOKEN}"}
connections:
  good:
    kind: http
    base_url: "${SERVER}/good"
    auth: {bearer: "${BEARER_TOKEN}"}
    signing_secret: ["${SIGN_ONE}", "${SIGN_TWO}"]
    headers: {x-fixed: "${FIXED_KEY}"}
  basic: {kind: http, base_url: "${SERVER}/basic", auth: {basic: {user: shop, password: "${BASIC_PASSWORD}"}}}
  nobody: {kind: http, base_url: "http://127.0.0.1:1", auth: {header: {name: X-Key, value: "${HEADER_KEY}"}}}
  crm: {kind: sql, url: "postgresql://shop:${DB_PASSWORD}@127.0.0.1:1/crm"}
  orders: {kind: sql, url: "${ORDERS_URL}"}
defaults: {timeout: 1500ms}
session:
  user_turn:
    - http: {connection: good, path: /ask}
      save: answer
    - http: {connection: basic, path: /ask}
    - http: {connection: nobody, path: /ask}
    - http: {connection: good, path: "/in/${PATH_TOKEN}", headers: {x-own: "{{ vars.api_token }}"}, query: {key: "${STEP_TOKEN}"}}  # hooks: ignore[HK501]
    - http: {connection: good, path: /slow, headers: {x-own: "${STEP_TOKEN}"}}
      timeout: 100ms
    - webhook:
        connection: good
        path: "/hook/${PATH_TOKEN}"  # hooks: ignore[HK501]
        headers: {x-own: "${STEP_TOKEN}"}
        json: {said: "{{ event.text }}", key: "${BODY_SECRET}"}  # hooks: ignore[HK501]
    - webhook: {connection: nobody, path: /hook, headers: {x-own: "${STEP_TOKEN}"}, body: "key=${BODY_SECRET}"}  # hooks: ignore[HK501]
    - webhook: {connection: basic, path: /hook, json: {key: "${BODY_SECRET}"}, query: {key: "${STEP_TOKEN}"}}  # hooks: ignore[HK501]
    - webhook: {url: "${SERVER}/open/${PATH_TOKEN}", delivery: direct}  # hooks: ignore[HK501]
    - crm_lookup: {connection: crm, table: customers, match: {phone: "x"}}
    - crm_lookup: {connection: orders, table: customers, match: {phone: "x"}}
    - crm_write: {connection: crm, table: customers, match: {phone: "x"}, values: {a: 1}}
    - call_pager: {key: "${PAGER_KEY}", fails: raise}
    - call_pager: {key: "${PAGER_KEY}", fails: fail}
    - call_pager: {key: "${PAGER_KEY}", fails: never}
      save: page
    - python: "tests.secretive:leak"
    - python: "tests.secretive:leak_in_thread"
    - place_call: {number: "+442079460123", connection: nobody}
    - end_call: over
    - log: {message: "over", level: debug, fields: {answer: "{{ data.answer | default('none') }}", page: "{{ data.page | default('none') }}"}}
"""
CALL = """{"call": {"id": "c1", "user_number": "+15550100"}}
{"t": 0.01, "event": "user_turn", "text": "hello"}
{"t": 0.02, "event": "agent_turn", "text": "hi"}
"""
TEST = """
config: canary.yaml
tests:
  - name: passes
    events: [{t: 1, user_turn: hello}]
    expect: []
  - name: fails
    given: {good: {status: 200, body: x}}
    events: [{t: 1, user_turn: hello}]
    expect: [{say: never}]
"""


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
    (tmp_path / "canary.yaml").write_text(CONFIG)
    (tmp_path / "canary.calltest.yaml").write_text(TEST)
    (tmp_path / "call.jsonl").write_text(CALL)
    return tmp_path


def environment(folder: Path, url: str, **more: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ORCHESTRATOR_")}
    return {
        **inherited, **VARIABLES, "SERVER": url, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"),
        "ORCHESTRATOR_LOG_LEVEL": "debug", **more,
    }  # fmt: skip


def command(folder: Path, env: dict[str, str], *args: str, text: str = "") -> tuple[int, str]:
    """Run a command as a user does; what it printed. A traceback is a failure in any case."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *args], cwd=folder, env=env, input=text, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


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


def replies() -> list[Reply]:
    """A receiver of every mood: success, failures, redirects, resets, garbage."""
    location = {"Location": "https://elsewhere.example/"}
    moods = [
        Reply(200, {"ok": True}), Reply(500, "broken"), Reply(302, "", location), Reply(is_reset=True),
        Reply(429, "", {"Retry-After": "1"}), Reply(400, "bad"), Reply(200, b"\xff\x00", {"Content-Type": "application/json"}),
        Reply(410), Reply(200, "slow", delay=0.3),
    ]  # fmt: skip
    return moods * 20


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


# --- inside of the process: tracebacks, representations, every logger, engines


@pytest.fixture
def every_log() -> Iterator[Callable[[], str]]:
    """What all loggers of the process say, other packages' too, with tracebacks."""
    import io

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream.getvalue
    root.removeHandler(handler)
    root.setLevel(level)


def carry(app: Orchestrator) -> None:
    async def main() -> None:
        runner = AgentRunner()
        app.attach(runner)
        await runner.handle(ScriptBridge(parse_script(CALL.strip(), "t"), PlayOptions(linger=6)))
        await asyncio.sleep(0.3)
        await app.aclose()

    asyncio.run(main())


def test_no_logger_shows_a_secret(
    folder: Path, monkeypatch: pytest.MonkeyPatch, every_log: Callable[[], str]
) -> None:
    """Also those of the packages that we use, in a program that logs everything there is."""

    async def serve() -> None:
        async with Server(*replies()) as server:
            variables = {**VARIABLES, "SERVER": server.url}
            memory = Memory(folder / "memory.db")
            app = Orchestrator.from_file(
                folder / "canary.yaml", variables=variables, journals=folder / "journals",
                outbox=folder / "outbox.db", memory=memory,
            )  # fmt: skip
            await asyncio.to_thread(carry, app)

    asyncio.run(serve())
    said = every_log()
    assert said.count("a step raised") == 3
    assert leaks("log", said) + leaks_in(folder) == []


def test_no_stream_of_nats_holds_a_secret(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, every_log: Callable[[], str]
) -> None:
    """What waits on the server's disk; and the server's own URL, which has a password here."""
    data = tmp_path_factory.mktemp("nats")
    with NatsServer(data) as nats:
        url = nats.url.replace(
            "nats://", f"nats://user:{canary(20).replace('/', '').replace('+', '')[:14]}@"
        )
        app = Orchestrator.from_file(
            folder / "canary.yaml",
            variables={**VARIABLES, "SERVER": "http://127.0.0.1:1"},
            outbox=url,
        )
        carry(app)
        held = b"".join(file.read_bytes() for file in data.rglob("*") if file.is_file())
        assert b"canary" in held
        assert leaks_in(data) == []
        _, output = command(
            folder,
            environment(folder, "http://127.0.0.1:1", ORCHESTRATOR_OUTBOX=url),
            "deliver",
            "canary.yaml",
            "--once",
        )
        assert leaks("deliver", output) == []
    code, output = command(
        folder,
        environment(folder, "http://127.0.0.1:1", ORCHESTRATOR_OUTBOX=url),
        "deliveries",
        "list",
    )
    assert code == 3
    assert leaks("deliveries list", output) + leaks("log", every_log()) == []


def test_no_representation_shows_a_secret(folder: Path) -> None:
    """Of whatever a debugger, a log line or an error tracker may print."""
    config = load_config(folder / "canary.yaml")
    variables = {**VARIABLES, "SERVER": "http://127.0.0.1:1"}
    plan = compile_config(config, variables)
    choice = Choice("nats://user:cnry-secret-30@127.0.0.1:1", {})

    async def main() -> list[object]:
        app = Orchestrator(config, variables=variables, outbox="memory:")
        services = app.services()
        opened = [services.connection(name) for name in config.connections]
        bodies = [
            step.body for handlers in plan.handlers.values() for h in handlers for step in h.steps
        ]
        steps = [getattr(body, name, None) for body in bodies for name in ("constant", "make")]
        nats = choice.open_plain()
        seen = [app, plan, config, services, *opened, *bodies, *steps, choice, nats, getattr(nats, "_link", None),
                getattr(getattr(nats, "_link", None), "target", None), app.outbox(), services._secrecy]  # fmt: skip
        seen += [vars(c).get("_engine") for c in opened] + [vars(c).get("auth") for c in opened]
        text = [repr(x) + str(x) for x in seen]
        await app.aclose()
        return text  # type: ignore[return-value]

    texts = asyncio.run(main())
    assert [leak for text in texts for leak in leaks("repr", str(text))] == []


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
