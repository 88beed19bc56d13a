"""Canaries: secrets that no output may show, in no encoding."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cli import ROOT
from tests.servers import Reply

#: Every canary begins with this, so that one search finds all of them.
MARK = b"cnry-secret-"


def canary(number: int) -> str:
    """A secret with characters that URLs, JSON and base64 write in another way."""
    return f'{MARK.decode()}{number:02}/+=&"z'


VARIABLES: Mapping[str, str] = {
    "BEARER_TOKEN": canary(1),
    "BASIC_PASSWORD": canary(2),
    "HEADER_KEY": canary(3),
    "FIXED_KEY": canary(4),
    "SIGN_ONE": "whsec_" + base64.b64encode(canary(5).encode()).decode(),
    "SIGN_TWO": canary(6),
    "VARS_TOKEN": canary(7),
    "PAGER_KEY": canary(8),
    "PATH_TOKEN": canary(9),
    "STEP_TOKEN": canary(10),
    "BODY_SECRET": canary(11),
    "DB_PASSWORD": f"{MARK.decode()}12",
    "ORDERS_URL": f"postgresql://shop:{MARK.decode()}13@127.0.0.1:1/orders",
    "OPENAI_API_KEY": canary(14),
}


def _needles() -> dict[str, bytes]:
    """The mark as it is, and in base64 wherever it may begin in a text."""
    found = {"as it is": MARK, "reversed": MARK[::-1], "in hex": MARK.hex().encode()}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + MARK)
        found[f"in base64, {before}"] = text[-(-before * 8 // 6) : -4]
    return found


NEEDLES = _needles()


def leaks(name: str, content: bytes | str) -> list[str]:
    """Where a canary is in an output."""
    data = content.encode(errors="replace") if isinstance(content, str) else content
    return [
        f"{name}: {how}: {data[max(0, at - 80) : at + 60]!r}"
        for how, needle in NEEDLES.items()
        if (at := data.find(needle)) >= 0
    ]


def leaks_in(folder: Path) -> list[str]:
    """Where a canary is in the files of a folder, or in their names."""
    found: list[str] = []
    for file in sorted(folder.rglob("*")):
        found += leaks("the name of a file", str(file))
        found += leaks(str(file.relative_to(folder)), file.read_bytes()) if file.is_file() else []
    return found


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


def project(folder: Path) -> Path:
    """Write the config, a call and a call test into a folder."""
    (folder / "canary.yaml").write_text(CONFIG)
    (folder / "canary.calltest.yaml").write_text(TEST)
    (folder / "call.jsonl").write_text(CALL)
    return folder


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


def replies() -> list[Reply]:
    """A receiver of every mood: success, failures, redirects, resets, garbage."""
    location = {"Location": "https://elsewhere.example/"}
    moods = [
        Reply(200, {"ok": True}), Reply(500, "broken"), Reply(302, "", location), Reply(is_reset=True),
        Reply(429, "", {"Retry-After": "1"}), Reply(400, "bad"), Reply(200, b"\xff\x00", {"Content-Type": "application/json"}),
        Reply(410), Reply(200, "slow", delay=0.3),
    ]  # fmt: skip
    return moods * 20
