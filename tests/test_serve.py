"""`orchestrator serve` as a real process: signals, drain, reload, deliveries, what it never tells."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from orchestrator.action import Delivery
from orchestrator.outbox.sqlite import SqliteStore
from tests.cli import ROOT, run_process
from tests.relay_peer import TOKEN, Telnyx
from tests.serve_process import Serve
from tests.servers import Reply, Server

GREETS = """
version: 1
session:
  call_start: [{say: "hello"}]
"""
REPORTS = """
version: 1
name: reporter
connections: {crm: {kind: http, base_url: "%s"}}
session:
  call_start: [{say: "hello"}]
  call_end: [{webhook: {connection: crm, path: /calls, json: {state: "{{ event.state }}"}}}]
"""


def run(work: Any) -> None:
    asyncio.run(work)


def end_of(journal: str) -> dict[str, Any]:
    return next(line for text in journal.splitlines() if "session" in (line := json.loads(text))
                and line["session"] == "call_end")  # fmt: skip


def test_a_call_from_start_to_end(tmp_path: Path) -> None:
    """Greeted, answered by the echo, hung up, journaled; SIGTERM ends the idle process with 0."""

    async def main() -> None:
        async with Serve(tmp_path, GREETS) as serve:
            call = await serve.network.ring()
            await call.until_heard("hello")
            await call.say("good morning")
            await call.until_heard("You said: good morning")
            await call.hang_up()
            serve.signal()
            assert await serve.ends() == 0
            assert end_of(serve.journal())["state"] == "hangup"

    run(main())


def test_drain_lets_calls_end_and_takes_no_new_ones(tmp_path: Path) -> None:
    """SIGTERM in a call: not ready, new calls are busy, the call goes on, its webhook is sent."""

    async def main() -> None:
        async with Server() as crm, Serve(tmp_path, REPORTS % crm.url, "--drain", "20") as serve:
            call = await serve.network.ring()
            await call.until_heard("hello")
            assert await _status(serve, "readyz") == 200
            serve.signal()
            await serve.until_logged("draining")
            assert await _status(serve, "readyz") == 503
            assert await _status(serve, "healthz") == 200
            late = await serve.network.ring("CA2")
            assert "Reject" in late.documents[0]
            await call.say("still there?")
            await call.until_heard("You said: still there?")
            await call.hang_up()
            assert await serve.ends() == 0
            assert [seen.json["state"] for seen in crm.seen] == ["hangup"]

    run(main())


def test_what_does_not_end_in_time_is_ended_with_a_reason(tmp_path: Path) -> None:
    """The caller's line is given back; call_end says shutdown; the webhook still leaves."""

    async def main() -> None:
        async with Server() as crm, Serve(tmp_path, REPORTS % crm.url, "--drain", "0.2") as serve:
            call = await serve.network.ring()
            await call.until_heard("hello")
            serve.signal()
            await call.until_doing("over")
            assert json.loads(call.sent("end")[0]["handoffData"]) == {"reason": "shutdown"}
            assert await serve.ends() == 0
            assert [seen.json["state"] for seen in crm.seen] == ["shutdown"]

    run(main())


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """However long the drain may be."""

    async def main() -> None:
        async with Serve(tmp_path, GREETS, "--drain", "3600") as serve:
            call = await serve.network.ring()
            await call.until_heard("hello")
            serve.signal()
            await serve.until_logged("draining")
            serve.signal(signal.SIGINT)
            assert await serve.ends(3) == 0, "about a second, and some for a busy machine"
            assert end_of(serve.journal())["state"] == "shutdown"

    run(main())


def test_a_second_signal_does_not_wait_for_a_hook(tmp_path: Path) -> None:
    """What a hook of the end asks of a system that is stuck is given up."""

    async def main() -> None:
        hook = "call_end: [{http: {connection: crm, path: /x}}]"
        async with Server(Reply(delay=60)) as crm:
            config = (REPORTS % crm.url).split("  call_end")[0] + f"  {hook}\n"
            async with Serve(tmp_path, config, "--drain", "3600") as serve:
                call = await serve.network.ring()
                await call.until_heard("hello")
                serve.signal()
                await serve.until_logged("draining")
                serve.signal()
                assert await serve.ends(3) == 0
                assert len(crm.seen) == 1

    run(main())


def test_what_an_earlier_process_left_is_delivered(tmp_path: Path) -> None:
    """The delivery worker begins with the process, before any call."""

    async def main() -> None:
        async with Server() as crm:
            store = SqliteStore(tmp_path / "o.db")
            await store.put(Delivery("msg_1", "crm", "/old", b"{}", config="reporter"), 0.0)
            await store.aclose()
            async with Serve(tmp_path, REPORTS % crm.url) as serve:
                await asyncio.wait_for(crm.was_asked.wait(), 10)
                serve.signal()
                assert await serve.ends() == 0
            assert crm.seen[0].target == "/old"

    run(main())


def test_reload_under_traffic_good_and_broken(tmp_path: Path) -> None:
    """Calls keep their config; new ones get the new one; a broken file changes nothing."""

    async def main() -> None:
        async with Serve(tmp_path, GREETS) as serve:
            first = await serve.network.ring("CA1")
            await first.until_heard("hello")
            serve.file.write_text(GREETS.replace("hello", "good day"))
            await serve.until_logged("the config was reloaded")
            second = await serve.network.ring("CA2")
            await second.until_heard("good day")
            serve.file.write_text("version: 1\nsession:\n  call_start: [{sya: oops}]\n")
            line = await serve.until_logged("was not reloaded")
            assert "line.yaml:3:" in line
            third = await serve.network.ring("CA3")
            await third.until_heard("good day")
            serve.file.write_text(GREETS.replace("hello", "third"))
            serve.signal(signal.SIGHUP)
            await serve.until_logged("the config was reloaded", 2)
            fourth = await serve.network.ring("CA4")
            await fourth.until_heard("third")
            for number, call in enumerate((first, second, third, fourth)):
                await call.say(f"word {number}")
                await call.until_heard(f"You said: word {number}")
                await call.hang_up()
            serve.signal()
            assert await serve.ends() == 0

    run(main())


def test_a_change_of_an_included_file_reloads(tmp_path: Path) -> None:
    """Not only the main file is watched; one that is away is a mistake like others."""

    async def main() -> None:
        part = tmp_path / "part.yaml"
        part.write_text(GREETS)
        async with Serve(tmp_path, "version: 1\ninclude: [part.yaml]\n") as serve:
            part.write_text(GREETS.replace("hello", "welcome"))
            await serve.until_logged("the config was reloaded")
            part.unlink()
            await serve.until_logged("was not reloaded")
            call = await serve.network.ring()
            await call.until_heard("welcome")

    run(main())


def test_without_the_extra_it_says_how_to_install_it(tmp_path: Path) -> None:
    """One sentence, exit code 3."""
    (tmp_path / "line.yaml").write_text(GREETS)
    for package in ("starlette", "uvicorn"):
        code = (
            f"import sys; sys.modules['{package}'] = None; from orchestrator.cli import main; "
            "main(['serve', 'line.yaml', '--insecure-no-signatures', '--port', '0'])"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                              text=True, check=False, timeout=60,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
        assert done.returncode == 3, done.stderr
        assert "pip install 'hook-orchestrator[serve]'" in done.stderr
        assert "Traceback" not in done.stderr


CARRIER = """
version: 1
name: carrier
connections:
  phone:
    kind: twilio
    account_sid: AC1
    auth_token: "${TWILIO_AUTH_TOKEN}"
    base_url: %s
    voice_url: https://calls.example.com/phone/voice
    caller_id: "+15550199"
session:
  call_start: [{say: "hello {{ data.who | default('you') }}"}]
  user_turn:
    - when: event.text == 'card'
      do: [{recording: {pause: card, max: 60s}}, {recording: resume}]
    - when: event.text == 'call me'
      do: [{place_call: {number: "+442079460123", connection: phone, data: {who: Ada}}}]
"""


def test_recordings_and_outbound_calls_through_the_carriers_api(tmp_path: Path) -> None:
    """A recording is paused and resumed; a call that is placed starts with its data."""

    async def main() -> None:
        api_reply = Reply(201, body={"sid": "CA2", "status": "queued"})
        async with Server(api_reply) as api, Serve(tmp_path, CARRIER % api.url) as serve:
            call = await serve.network.ring()
            await call.until_heard("hello you")
            await call.say("card")
            await call.until_heard("You said: card")
            await call.say("call me")
            await call.until_heard("You said: call me")
            changes = [parse_qs(seen.body.decode()) for seen in api.seen]
            assert [change.get("Status") for change in changes[:2]] == [
                ["paused"],
                ["in-progress"],
            ]
            assert "/Calls/CA1/Recordings/" in api.seen[0].target
            url = changes[2]["Url"][0]
            query = url.removeprefix("https://calls.example.com/phone/voice")
            placed = await serve.network.ring("CA2", query, Direction="outbound-api")
            await placed.until_heard("hello Ada")
            serve.signal()
            await serve.until_logged("draining")
            await call.hang_up()
            await placed.hang_up()
            assert await serve.ends() == 0
            assert TOKEN not in "".join(serve.log) + serve.journal()

    run(main())


def test_nothing_secret_is_told(tmp_path: Path) -> None:
    """Neither token nor signature nor seal nor number, in logs or journals, whatever comes."""

    async def main() -> None:
        config = GREETS + "privacy: redact\n"
        async with Serve(tmp_path, config, ORCHESTRATOR_LOG_LEVEL="debug") as serve:
            network = serve.network
            call = await network.ring()
            await call.until_heard("hello")
            await call.send_raw(b"\xff\x00")
            await call.send_raw('{"type": "secret-' + TOKEN + '"}')
            form = {"CallSid": "CA9", "From": "+15550100"}
            for headers in ({}, {"X-Twilio-Signature": "c2lnbmF0dXJl"}):
                answer = await network.post(f"{network.public}/voice", form, headers=headers)
                assert (answer.status_code, answer.content) == (403, b"")
            await call.hang_up()
            seal = call.action.rpartition("/")[2]
            signature = network.carrier.sign(call.action, {})["X-Twilio-Signature"]
            serve.signal()
            assert await serve.ends() == 0
            told = "".join(serve.log) + serve.journal()
            for secret in (TOKEN, seal, signature, "c2lnbmF0dXJl", "5550100", "Traceback"):
                assert secret not in told, secret
            assert "request refused" in told
            assert serve.journal().count("a frame was passed over") == 2

    run(main())


def test_telnyx_calls_too(tmp_path: Path) -> None:
    """The other dialect, checked with its public key."""

    async def main() -> None:
        carrier = Telnyx()
        async with Serve(tmp_path, GREETS, "--carrier", "telnyx", carrier=carrier,
                         TELNYX_PUBLIC_KEY=carrier.public_key) as serve:  # fmt: skip
            call = await serve.network.ring("v2:abc-_D")
            await call.until_heard("hello")
            await call.hang_up()
            serve.signal()
            assert await serve.ends() == 0

    run(main())


@pytest.mark.parametrize(
    ("options", "variables", "code", "words"),
    [
        ([], {}, 2, "--public-url"),
        (["--public-url", "http://example.com"], {}, 2, "https://HOST"),
        (["--public-url", "https://example.com:port"], {}, 2, "https://HOST"),
        (["--public-url", "https://user:pw@example.com"], {}, 2, "https://HOST"),
        (["--public-url", "https://example.com"], {}, 3, "TWILIO_AUTH_TOKEN is not set"),
        (["--insecure-no-signatures", "--host", "192.0.2.1"], {}, 2, "for this machine only"),
        (["--insecure-no-signatures", "--relay", "url=x"], {}, 2, "--relay"),
        (["--public-url", "https://e.com", "--carrier", "telnyx"],
         {"TELNYX_PUBLIC_KEY": "no key"}, 3, "no Ed25519 key"),
        (["--public-url", "https://e.com"], {"TWILIO_AUTH_TOKEN": "a,"}, 3, "TWILIO_AUTH_TOKEN"),
        (["--insecure-no-signatures", "--relay", "welcomegreting=hi"], {}, 2, "'welcomeGreeting'"),
        (["--insecure-no-signatures", "--relay", "intteruptible=none"], {}, 2, "'interruptible'"),
        (["--insecure-no-signatures", "--relay", "interruptible=never"], {}, 2, "one of any"),
        (["--insecure-no-signatures", "--language", "de-DE,voce=x"], {}, 2, "'voice'"),
        (["--insecure-no-signatures", "--dialog", "no.such:thing"], {}, 3, "cannot import"),
        *[(["--insecure-no-signatures", "--dialog", name], {}, 2, words)
          for name, words in [("openai:", "names a model"), ("openai: ", "names a model"),
                              ("http://", "the host is missing"), ("https:///turn", "host is missing"),
                              ("http://[x", "host cannot be read"), ("http://h:99999", "a port is"),
                              ("http://h o/", "a space"), ("http://a..b/", "cannot be looked up")]],
        *[(["--insecure-no-signatures", "--dialog", "openai:m"], {"OPENAI_BASE_URL": url}, 3,
           "OPENAI_BASE_URL: ")
          for url in ("foo", "http://", "http://[x", "ftp://h/v1", "https://h:x/v1", "https://h/v1?a=b",
                      " https://h/v1", "//h/v1")],
        *[(["--insecure-no-signatures", "--dialog", "openai:m"], {"OPENAI_API_KEY": key}, 3,
           "OPENAI_API_KEY: ") for key in ("a\nb", "cnry-\u00e9", "a ", "\x7f")],
        *[(["--insecure-no-signatures", option], {}, 2, "control character") for option in (
            "--relay=voice=\x01", "--relay=welcomeGreeting=a\x1bb", "--relay=new=\x7f",
            "--language=de-DE,voice=a\x0bb")],
        (["--insecure-no-signatures", "--memory", "nats://h:x"], {}, 3, "a port is"),
        (["--insecure-no-signatures"], {"ORCHESTRATOR_OUTBOX": "nats://"}, 3, "the host is missing"),
        (["--insecure-no-signatures"], {"ORCHESTRATOR_LOG": "x"}, 3, "ORCHESTRATOR_LOG is"),
        (["--insecure-no-signatures"], {"ORCHESTRATOR_LOG_LEVEL": "x"}, 3, "LEVEL is one of"),
        (["--insecure-no-signatures", "--instructions", "line.yaml"], {}, 2, "for openai:MODEL"),
        (["--insecure-no-signatures", "--instructions", "none"], {}, 2, "does not exist"),
        (["--insecure-no-signatures", "--journal-dir", "j"], {"ORCHESTRATOR_JOURNAL_DAYS": "nan"}, 3,
         "ORCHESTRATOR_JOURNAL_DAYS is"),
        (["--public-url", "https://[x"], {}, 2, "https://HOST"),
        (["--public-url", "https://e\n.com"], {}, 2, "https://HOST"),
    ],
)  # fmt: skip
def test_it_says_why_it_does_not_start(
    options: list[str], variables: dict[str, str], code: int, words: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One sentence and the exit code of its kind."""
    monkeypatch.delenv("TWILIO_AUTH_TOKEN", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "line.yaml").write_text(GREETS)
    done = run_process("serve", "line.yaml", "--port", "0", *options, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "cnry" not in done.stderr


def test_options_as_the_document_and_the_config_see_them(tmp_path: Path) -> None:
    """Values with spaces, attributes of languages, and the public URL in the config."""
    config = """
    version: 1
    connections:
      phone: {kind: twilio, account_sid: AC1, auth_token: "${TWILIO_AUTH_TOKEN}", voice_url: "${ORCHESTRATOR_PUBLIC_URL}/voice"}
    session:
      call_start: [{say: hello}, {set_language: es-ES}]
      user_turn: [{set_language: fr-FR}]
    """
    given = {
        "ORCHESTRATOR_RELAY": "welcomeGreeting=Hello there, a=b language=en-US voice=Ana Maria"
    }

    async def main() -> None:
        async with Serve(tmp_path, textwrap.dedent(config), "--language", "es-ES,voice=Lupe",
                         **given) as serve:  # fmt: skip
            warned = await serve.until_logged("set_language may not work")
            assert "no --language fr-FR" in warned
            assert sum("set_language may not work" in line for line in serve.log) == 1
            call = await serve.network.ring()
            await call.until_heard("hello")
            assert call.attributes["welcomeGreeting"] == "Hello there, a=b"
            assert (call.attributes["language"], call.attributes["voice"]) == ("en-US", "Ana Maria")
            assert '<Language code="es-ES" voice="Lupe" />' in call.documents[0]
            await call.hang_up()

    run(main())


def test_paths_of_nobody_are_answered_with_a_status_and_told_once(tmp_path: Path) -> None:
    """No redirect to what a Host header says; a proxy that keeps the prefix shows in the log."""

    async def main() -> None:
        async with Serve(tmp_path, GREETS) as serve:
            url = serve.network.base
            async with httpx.AsyncClient(trust_env=False) as client:
                for path in ("/voice/", "/phone/voice", "/phone/voice", "/wp-admin", "/x"):
                    answer = await client.post(f"{url}{path}", headers={"host": "evil.example"})
                    assert answer.status_code == 404
                    assert "location" not in answer.headers
            await serve.until_logged("a path of ours with something around it")
            await serve.until_logged("unknown path")
            assert sum("no route of ours" in line for line in serve.log) == 2

    run(main())


def test_a_port_that_is_taken_and_a_bad_config(tmp_path: Path) -> None:
    """3 and 1."""
    (tmp_path / "line.yaml").write_text(GREETS)
    (tmp_path / "bad.yaml").write_text("version: 1\nsession: {call_start: [{sya: x}]}\n")
    (tmp_path / "no.yaml").write_text("version: 1\nsession: {call_start: [{set_filler: x}]}\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_process("serve", "line.yaml", "--port", port, "--insecure-no-signatures",
                           cwd=tmp_path)  # fmt: skip
    assert done.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    for name, words in (("bad.yaml", "bad.yaml:2:25"), ("no.yaml", "filler")):
        done = run_process("serve", name, "--port", 0, "--insecure-no-signatures", cwd=tmp_path)
        assert done.returncode == 1, done.stderr
        assert words in done.stderr


async def _status(serve: Serve, route: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{serve.network.base}/{route}")).status_code
