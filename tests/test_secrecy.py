"""Secrets are not in what is stored, and are those of today in what is sent."""

from __future__ import annotations

import asyncio
import base64
import html
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import AgentRunner, Orchestrator
from orchestrator.action import Delivery
from orchestrator.callscript import parse_script
from orchestrator.clock import real_clock
from orchestrator.errors import ActionFailed
from orchestrator.journal import Redactor
from orchestrator.journal.lines import step_line
from orchestrator.outbox.packed import pack, unpack
from orchestrator.outbox.sqlite import SqliteStore
from orchestrator.outbox.store import Entry
from orchestrator.runtimes.script_bridge import PlayOptions, ScriptBridge
from orchestrator.secrecy import Secrecy
from orchestrator.signing import key_of, verify
from orchestrator.validation import check_text
from orchestrator.written import in_header
from tests.servers import Reply, Server
from tests.test_attachment import Lines

_TEXT = st.text(st.sampled_from("abcé{}$\x00 %2F/\"'tok"), max_size=30)


NASTY = "Pa/s\\w0rd\"é+=&<'\n\x7f€"


@pytest.mark.parametrize(
    "said",
    [
        str, repr, ascii, json.dumps, lambda s: json.dumps(s, ensure_ascii=False), quote, quote_plus,
        lambda s: quote(s, safe=""), lambda s: json.dumps(s).replace("/", "\\/"), html.escape,
        lambda s: html.escape(s, quote=False), lambda s: repr({"p": [s]}), lambda s: repr(s.encode()),
        lambda s: repr(ValueError("no", {"p": s})), lambda s: in_header(s), lambda s: s.encode().hex(),
        lambda s: base64.b64encode(s.encode()).decode(), lambda s: f"{(s, 1)!r}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("secret", [NASTY, "back\\slash", "it's/so", 'say "so"', "plain-one"])
def test_a_secret_is_masked_as_it_looks_elsewhere(said: Callable[[str], str], secret: str) -> None:
    """In a URL, a form, JSON of any writer, HTML, a header, and in Python's own words."""
    shown = said(secret)
    masked = Redactor([secret]).secret(f"it was {shown}, no less")
    assert "***" in masked
    assert said(secret).strip("\"'")[2:] not in masked


def test_a_short_secret_hides_nothing_that_only_looks_like_it() -> None:
    """In hex or base64 a few characters are in every text."""
    assert Redactor(["a", "abc"]).secret("61 YQ 616263 YWJj") == "61 YQ 616263 YWJj"


def test_a_secret_that_a_shortened_output_would_cut_is_masked_whole() -> None:
    """No part of one is left where a text ends."""
    step = SimpleNamespace(word="http", key="k", is_detached=False, id=None, save=None)
    output = {"body": "x" * 1_995 + "secret-value" + "y" * 100}
    line = step_line(Redactor(["secret-value"]), 1.0, step, 0.0, "ok", output, None)
    assert "secr" not in json.dumps(line)


AUTHS = {
    "basic": ("{basic: {user: shop, password: '${THE_PASSWORD}'}}", "pässword/+1"),
    "bearer": ("{bearer: '${THE_PASSWORD}'}", 'pässword "1"'),
    "header": ("{header: {name: X-Key, value: '${THE_PASSWORD}'}}", "pässword 1"),
}


@pytest.mark.parametrize("kind", AUTHS)
def test_credentials_are_masked_as_they_are_sent(kind: str) -> None:
    """A receiver that gives back what it got, as gateways do on errors, fills no journal."""
    auth, password = AUTHS[kind]

    async def main() -> tuple[str, str]:
        async with Server(Reply(gives_back=True)) as server:
            checked = check_text(
                "version: 1\nconnections:\n"
                f"  shop: {{kind: http, base_url: '{server.url}', auth: {auth}}}\n"
                "session:\n  call_start:\n"
                "    - {http: {connection: shop, path: /x}, save: r}\n"
                "    - set: {again: '{{ data.r.body }}'}\n"
            )
            assert checked.config is not None
            sink, runner = Lines(), AgentRunner()
            app = Orchestrator(
                checked.config, variables={"THE_PASSWORD": password}, journals=sink,
                outbox="memory:",
            )  # fmt: skip
            app.attach(runner)
            script = parse_script('{"call": {"id": "c"}}\n')
            await runner.handle(ScriptBridge(script, PlayOptions(linger=0.3)))
            await app.aclose()
            sent = server.seen[0].headers["x-key" if kind == "header" else "authorization"]
            return sent, json.dumps(sink.lines)

    sent, journal = asyncio.run(main())
    assert '"status": 200' in journal
    assert sent.removeprefix("Basic ").removeprefix("Bearer ") not in journal
    assert "ssword" not in journal


@given(st.lists(_TEXT, max_size=4), _TEXT, _TEXT, st.text("tok/é", min_size=4, max_size=9))
def test_what_is_concealed_is_revealed_as_it_was(
    parts: list[str], url: str, header: str, secret: str
) -> None:
    """Whatever the text, cutting, storing and filling in again change nothing."""
    body = secret.join(parts).encode()
    whole = Delivery("id", "c", f"/{url}{secret}", body, headers={"x": f"{header}{secret}{secret}"})
    secrecy = Secrecy({"TOKEN": secret, "OTHER": "never-there"})
    stored = secrecy.conceal(whole)
    assert secret not in stored.headers["x"]
    assert secret.encode() not in stored.body
    assert secrecy.reveal(unpack(pack(stored))) == whole


def test_a_rotated_secret_is_used_at_the_next_attempt() -> None:
    """What was stored under the old value leaves with the new one, quoted where it was."""
    old = Secrecy({"KEY": "old/secret"}).conceal(
        Delivery("i", "c", "/a/old%2Fsecret", b"old/secret!")
    )
    new = Secrecy({"KEY": "new/one"}).reveal(old)
    assert (new.url, new.body) == ("/a/new%2Fone", b"new/one!")


def test_a_secret_that_is_gone_is_waited_for() -> None:
    """Without the variable the attempt fails, and may succeed later."""
    stored = Secrecy({"KEY": "secret-1"}).conceal(Delivery("i", "c", "/secret-1", b""))
    with pytest.raises(ActionFailed, match="KEY is not set") as failure:
        Secrecy({}).reveal(stored)
    assert failure.value.retryable


def test_what_a_caller_says_never_becomes_a_secret() -> None:
    """Marks of any kind in a body stay what they are."""
    secrecy = Secrecy({"KEY": "canary-1"})
    spoken = Delivery("i", "c", "/", b"${KEY} {KEY} \\u0000KEY\\u0000 cuts")
    assert secrecy.reveal(secrecy.conceal(spoken)) == spoken


CONFIG = """
version: 1
name: secrets
connections:
  billing:
    kind: http
    base_url: "${BILLING_URL}"
    auth: {bearer: "${BILLING_TOKEN}"}
    signing_secret: "${BILLING_SECRET}"
    headers: {x-fixed: "${FIXED_KEY}"}
session:
  user_turn:
    - webhook:
        connection: billing
        path: /in
        headers: {x-own: "${HEADER_TOKEN}"}
        json: {said: "{{ event.text }}"}
"""
CALL = """
{"call": {"id": "c1", "user_number": "+15550100"}}
{"t": 0.01, "event": "user_turn", "text": "I said ${BILLING_TOKEN}"}
{"t": 0.02, "event": "hangup"}
"""
WHSEC = "whsec_Y2FuYXJ5LXNpZ25pbmctY2FuYXJ5LXNpZ25pbmc="


def test_no_secret_is_in_the_outbox_file(tmp_path: Path) -> None:
    """Credentials of the connection and of the step are sent, and in no file of the outbox."""
    canaries = {
        "BILLING_TOKEN": "canary-bearer", "BILLING_SECRET": WHSEC, "FIXED_KEY": "canary-fixed",
        "HEADER_TOKEN": "canary-header",
    }  # fmt: skip
    config = tmp_path / "secrets.yaml"
    config.write_text(CONFIG)
    kept: list[bytes] = []

    async def main() -> None:
        async with Server() as server:
            variables = {"BILLING_URL": server.url, **canaries}
            app = Orchestrator.from_file(
                config, variables=variables, outbox=tmp_path / "o" / "o.db"
            )
            store = SqliteStore(tmp_path / "o" / "o.db")
            put = SqliteStore.put

            async def put_and_look(self: Any, *args: Any) -> bool:
                answer = await put(self, *args)
                kept.append(b"".join(f.read_bytes() for f in (tmp_path / "o").iterdir()))
                return answer

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(SqliteStore, "put", put_and_look)
                runner = AgentRunner()
                app.attach(runner)
                await runner.handle(ScriptBridge(parse_script(CALL.strip(), "t"), PlayOptions()))
                await app.aclose()
            (seen,) = server.seen
            assert seen.target == "/in"
            assert seen.headers["x-own"] == "canary-header"
            assert seen.headers["authorization"] == "Bearer canary-bearer"
            assert seen.json == {"said": "I said ${BILLING_TOKEN}"}
            now = real_clock().wall().timestamp()
            assert verify([key_of(WHSEC)], seen.headers, seen.body, now=now) is None
            assert await store.count("done") == 1
            await store.aclose()

    asyncio.run(main())
    kept += [file.read_bytes() for file in (tmp_path / "o").iterdir()]
    assert b"I said" in kept[0]
    for canary in (*canaries.values(), "canary"):
        assert not any(canary.encode() in content for content in kept), canary


FROM_ENVIRONMENT = """
version: 1
name: secrets
vars: {later: "${LATER}"}
session:
  user_turn:
    - webhook:
        url: "${SLACK_URL}"
        headers: {x-pass: "${X_PHRASE}", x-later: "{{ vars.later }}", x-host: "${PLAIN:-fixed}"}
        json: {said: "{{ event.text }}"}
    - log: "used {{ vars.later }}"
"""


def test_what_the_environment_carries_into_a_request_is_secret(tmp_path: Path) -> None:
    """Whatever the variables are called; the host stays, by which deliveries are told apart."""

    async def main(server: Server) -> tuple[list[Any], str]:
        variables = {
            "SLACK_URL": f"{server.url}/services/T0/B0/cnry-path",
            "X_PHRASE": "cnry-phrase",
            "LATER": "cnry-later",
        }
        checked = check_text(FROM_ENVIRONMENT)
        assert checked.config is not None
        sink = Lines()
        app = Orchestrator(
            checked.config, variables=variables, journals=sink, outbox=tmp_path / "o"
        )
        runner = AgentRunner()
        app.attach(runner)
        script = parse_script('{"call": {"id": "c"}}\n{"t": 0, "user_turn": "cnry-later"}\n')
        await runner.handle(ScriptBridge(script, PlayOptions(linger=0.5)))
        await app.aclose()
        return server.seen, json.dumps(sink.lines)

    async def served() -> tuple[list[Any], str]:
        async with Server() as server:
            return await main(server)

    seen, journal = asyncio.run(served())
    (one,) = seen
    assert one.target == "/services/T0/B0/cnry-path"
    assert (one.headers["x-pass"], one.headers["x-later"]) == ("cnry-phrase", "cnry-later")
    assert "cnry" not in journal
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"cnry-pa" not in stored
    assert b"cnry-phrase" not in stored


def test_a_secret_url_keeps_its_host_and_may_move() -> None:
    """Its path is cut out; another URL that has the same path is left alone."""
    value = "https://hooks.example.com/services/T0"
    secrecy = Secrecy({"SLACK_URL": value})
    stored = secrecy.conceal(Delivery("i", "", f"{value}?a=1", b""))
    assert stored.url == "https://hooks.example.com?a=1"
    moved = Secrecy({"SLACK_URL": "https://new.example.com/T1"}).reveal(stored)
    assert moved.url == "https://new.example.com/T1?a=1"
    other = Delivery("i", "", "https://other.example.com/services/T0", b"")
    assert secrecy.conceal(other) == other
    pairs = [Entry(secrecy.conceal(Delivery("i", "", url, b"")), 0).address for url in
             (value, "https://hooks.example.com/")]  # fmt: skip
    assert pairs[0] != pairs[1]
