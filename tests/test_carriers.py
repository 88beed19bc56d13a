"""The carriers' REST APIs: the same requests as the vendors' own clients send."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from telnyx import Telnyx
from telnyx._utils import transform
from telnyx.types.texml.accounts.call_calls_params import BodyWithURL
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from actions.place_call import PlaceCall
from orchestrator import Orchestrator
from orchestrator.config import Allow
from orchestrator.connections.carriers import TelnyxConnection, TwilioConnection
from orchestrator.errors import ActionFailed, NotSupported
from orchestrator.validation import check_text
from tests.fakes import FakeContext
from tests.servers import Reply, Seen, Server, run, services

NUMBER = "+442079460123"
TWILIO = {"account_sid": "AC123", "auth_token": "tok-1"}
TELNYX = {"api_key": "KEY-1", "account_sid": "acc-1", "application_sid": "app-1"}


def opened(cls: Any, url: str, **options: Any) -> Any:
    defaults = TWILIO if cls is TwilioConnection else TELNYX
    given = {"base_url": url, "voice_url": "https://calls.example.com/voice", **defaults, **options}
    return cls.open("phone", cls(**given), services(), Allow())


def ask(cls: Any, work: Any, reply: Reply | None = None, **options: Any) -> tuple[Any, list[Seen]]:
    """What `work(connection)` gave or raised, and what the carrier saw."""

    async def main() -> Any:
        async with Server(reply or Reply(201, body={"sid": "CA7", "status": "queued"})) as server:
            connection = opened(cls, server.url, **options)
            try:
                found = await work(connection)
            except ActionFailed as error:
                found = error
            await connection.aclose()
            return found, server.seen

    return run(main())  # type: ignore[no-any-return]


def place(caller: str = "+15550199", **more: Any) -> Any:
    async def work(connection: Any) -> Any:
        ctx = FakeContext({"phone": connection}, is_fixed=True)
        step = PlaceCall(number=NUMBER, connection="phone", from_=caller, **more)
        return await step.run(ctx)

    return work


def shown(seen: Seen) -> dict[str, Any]:
    """A request as a carrier understands it."""
    body = seen.body.decode()
    is_json = "json" in seen.headers["content-type"]
    return {
        "method": seen.method, "target": seen.target, "auth": seen.headers["authorization"],
        "fields": json.loads(body) if is_json else parse_qs(body),
    }  # fmt: skip


def vendor(work: Any) -> dict[str, Any]:
    """The one request that the vendor's client sends; `work(url)` runs in a thread."""

    async def main() -> Seen:
        async with Server(Reply(201, body={"sid": "CA7", "data": {}})) as server:
            await asyncio.to_thread(work, server.url)
            return server.seen[0]

    return shown(run(main()))


class Redirected(TwilioHttpClient):
    """Twilio's client, its API on this machine."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        return super().request(method, self.url + urlsplit(url).path, *args, **kwargs)


def twilio(url: str) -> Client:
    return Client("AC123", "tok-1", http_client=Redirected(url))


@pytest.mark.filterwarnings("ignore")
def test_a_call_is_placed_as_twilios_client_places_it() -> None:
    """Same path, fields and credentials; the output is its id and status."""
    output, (seen,) = ask(TwilioConnection, place(data={"a": {"b": 1}}, answer_within=20.0))
    assert output == {"id": "CA7", "status": "queued"}
    url = "https://calls.example.com/voice?data=%7B%22a%22%3A+%7B%22b%22%3A+1%7D%7D"
    assert shown(seen) == vendor(
        lambda at: twilio(at).calls.create(
            to=NUMBER, from_="+15550199", url=url, method="POST", timeout=20
        )
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("change", "status"), [("pause", "paused"), ("resume", "in-progress")])
def test_a_recording_is_changed_as_twilios_client_does(change: str, status: str) -> None:
    """The recording that runs now."""
    _, (seen,) = ask(TwilioConnection, lambda c: c.record("CA1", change))
    assert shown(seen) == vendor(
        lambda at: twilio(at).calls("CA1").recordings("Twilio.CURRENT").update(status=status)
    )


@pytest.mark.filterwarnings("ignore")
def test_a_call_is_placed_as_telnyx_client_places_it() -> None:
    """Same path, fields and credentials."""
    output, (seen,) = ask(TelnyxConnection, place(agent_id="reminder"))
    assert output == {"id": "CA7", "status": "queued"}
    body = {
        "url": "https://calls.example.com/voice?agent=reminder", "to": NUMBER,
        "from_": "+15550199", "url_method": "POST", "timeout": 30, "application_sid": "app-1",
    }  # fmt: skip

    def work(at: str) -> None:
        with Telnyx(api_key="KEY-1", base_url=at, max_retries=0) as client:
            client.texml.accounts.calls.calls(
                account_sid="acc-1",
                body=transform(body, BodyWithURL),  # type: ignore[arg-type]
            )

    assert shown(seen) == vendor(work)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("change", ["pause", "resume"])
def test_a_recording_is_changed_as_telnyx_client_does(change: str) -> None:
    """By the call's control id, which is its name in frames too."""
    _, (seen,) = ask(TelnyxConnection, lambda c: c.record("v2:abc", change))

    def work(at: str) -> None:
        with Telnyx(api_key="KEY-1", base_url=at, max_retries=0) as client:
            actions = client.calls.actions
            (actions.pause_recording if change == "pause" else actions.resume_recording)("v2:abc")

    ours, theirs = shown(seen), vendor(work)
    assert ours["target"].replace("%3A", ":") == theirs["target"].replace("%3A", ":")
    assert {**ours, "target": ""} == {**theirs, "target": ""}


def test_the_same_step_places_one_call() -> None:
    """Tried again with its id, it gives the answer of before."""

    async def twice(connection: Any) -> Any:
        return await place()(connection), await place()(connection)

    (first, second), seen = ask(TwilioConnection, twice)
    assert first == second
    assert len(seen) == 1
    assert seen[0].headers["idempotency-key"] == "msg_1"


@pytest.mark.parametrize(
    ("reply", "is_retryable"),
    [(Reply(500), False), (Reply(429), True), (Reply(is_reset=True), False), (Reply(400), False)],
)
def test_a_call_that_may_ring_is_not_placed_again(reply: Reply, is_retryable: bool) -> None:
    """Only what certainly did nothing is worth another try."""
    error, _ = ask(TwilioConnection, place(), reply)
    assert isinstance(error, ActionFailed)
    assert error.retryable is is_retryable
    assert "tok-1" not in str(error)


@pytest.mark.parametrize(
    ("options", "caller", "data", "words"),
    [({}, "", {}, "number to call from"), ({"voice_url": None}, "+15550199", {}, "voice_url"),
     ({}, "+15550199", {"a": "x" * 5000}, "too large")],
)  # fmt: skip
def test_what_is_missing_is_said(
    options: dict[str, Any], caller: str, data: dict[str, Any], words: str
) -> None:
    """Before anything is sent."""
    error, seen = ask(TwilioConnection, place(caller, data=data), **options)
    assert words in str(error)
    assert seen == []


RECORDS = """
version: 1
%s
session:
  user_turn: [{recording: {pause: card, max: 30s}}, {recording: resume}]
"""
PHONE = 'connections: {phone: {kind: twilio, account_sid: AC1, auth_token: "${TOKEN:-t}"}}'


def test_a_connection_lends_its_capability_to_calls_of_serve() -> None:
    """With it a recording can be paused there, and only there."""

    class Runner:
        def __init__(self, name: str) -> None:
            self.runtime_name, self.capabilities = name, frozenset({"say"})

        def on(self, event: str) -> Any:
            return lambda handler: handler

    for text, name, is_good in (
        (PHONE, "conversation_relay", True), ("", "conversation_relay", False),
        (PHONE, "native", False),
    ):  # fmt: skip
        config = check_text(RECORDS % text, "c.yaml").config
        assert config is not None
        app = Orchestrator(config, variables={}, outbox="memory:")
        if is_good:
            app.attach(Runner(name))
        else:
            with pytest.raises(NotSupported, match="recording"):
                app.attach(Runner(name))


@pytest.mark.parametrize(
    ("line", "words"),
    [("voice_url: 'http://example.com/voice'", "plain http"),
     ("voice_url: 'https://example.com/voice?a=1'", "query"),
     ("base_url: 'https://api.example.com/?x=1'", "query")],
)  # fmt: skip
def test_bad_options_are_findings(line: str, words: str) -> None:
    """When the config is loaded, at their place."""
    text = f'version: 1\nconnections:\n  p:\n    kind: twilio\n    account_sid: AC1\n    auth_token: tok\n    {line}\nsession: {{call_start: [{{place_call: {{number: "{NUMBER}", connection: p}}}}]}}\n'
    problems = check_text(text, "c.yaml").problems
    assert any(words in str(problem) for problem in problems), problems
