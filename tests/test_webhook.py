"""`webhook`: what is sent, how, and what comes of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Receiver

from actions.webhook import Webhook
from orchestrator.action import MOST_BYTES, Delivery
from orchestrator.clock import run_virtual, virtual_clock
from orchestrator.config import Allow
from orchestrator.connections.http import HttpConnection
from orchestrator.errors import ActionFailed, NotSent
from orchestrator.memory import Memory
from orchestrator.services import Services
from orchestrator.validation import check_text
from tests.fakes import FakeContext
from tests.servers import Opened, Reply, Server, run, services

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def stored(**options: Any) -> Delivery:
    """What a webhook hands to the outbox."""
    ctx = FakeContext({})
    assert run(Webhook(**options).run(ctx)) == {"id": "msg_1"}
    return ctx.sent[0]


def sent(reply: Reply, *, saves: bool = True, **options: Any) -> tuple[Any, Any]:
    """What a webhook that is sent at once gives, and the request."""

    async def main() -> Any:
        async with Server(reply) as server, Opened(server.url, signing_secret=SECRET) as crm:
            ctx = FakeContext({"billing": crm}, saves=saves)
            output = await Webhook(connection="billing", path="/in", **options).run(ctx)
            assert ctx.sent == []
            return output, server.seen[0]

    return run(main())  # type: ignore[no-any-return]


def test_without_save_it_goes_to_the_outbox() -> None:
    """The delivery carries the step's id, the target and the body, and no credentials."""
    delivery = stored(connection="billing", path="/calls", json={"a": 1}, headers={"X-A": "b"})
    assert delivery == Delivery(
        "msg_1", "billing", "/calls", b'{"a":1}', headers={"X-A": "b"}, call_id="call-1"
    )


def test_a_type_adds_the_envelope() -> None:
    """With `type` the body is `{type, timestamp, data}`; without it the JSON as written."""
    body = json.loads(stored(connection="b", type="call.completed", json={"n": 1}).body)
    assert body == {
        "type": "call.completed",
        "timestamp": "2026-01-05T12:00:00.000Z",
        "data": {"n": 1},
    }
    assert json.loads(stored(connection="b", json=[1, "é"]).body) == [1, "é"]


def test_text_is_sent_as_text() -> None:
    """`body` is sent as it is."""
    delivery = stored(connection="b", body="hé")
    assert (delivery.body, delivery.content_type) == ("hé".encode(), "text/plain; charset=utf-8")


def test_the_query_is_part_of_the_target() -> None:
    """The query is encoded and kept with the delivery."""
    assert stored(connection="b", path="/x", query={"n": "+1", "no": None}).url == "/x?n=%2B1"
    assert (
        stored(url="https://a.test/x?a=1", query={"b": True}).url == "https://a.test/x?a=1&b=true"
    )


@pytest.mark.parametrize(
    "transcript",
    [
        [{"who": "caller", "text": "x" * 300_000}],
        [{"who": "caller", "text": "€" * 100_000}],
        [{"who": "caller", "text": "\x00" * 1_100_000}],
        [{"who": "caller", "text": "y" * 200_000}] * 60,
        [{"who": "caller", "text": "hm"}] * 30_000,
        "z" * 5_000_000,
        {str(number): ["a"] * 100 for number in range(20)} | {"text": "x" * 2_000_000},
    ],
    ids=["long", "wide", "escaped", "much", "many", "one text", "mixed"],
)
def test_a_huge_body_is_shortened(transcript: Any) -> None:
    """However much was said, what ends a call is sent; it says what is missing."""
    body = stored(
        connection="b", type="call.completed", json={"id": "c1", "transcript": transcript}
    ).body
    assert len(body) <= MOST_BYTES
    assert json.loads(body)["data"]["id"] == "c1"
    assert "… (cut: " in body.decode()


def test_a_huge_text_is_cut() -> None:
    """At a whole character, with a note."""
    body = stored(connection="b", body="€" * 100_000).body
    assert len(body) <= MOST_BYTES
    assert body.decode().endswith("€… (cut: it had 100,000 characters)")


def test_a_body_that_cannot_be_shortened_is_refused() -> None:
    """Nothing is put into the outbox that is too large."""
    with pytest.raises(ActionFailed, match="more than"):
        stored(connection="b", json={f"key {number:0200}": 1 for number in range(2_000)})


def test_with_save_it_is_sent_at_once() -> None:
    """A step that saves waits for the answer, signed and under its id."""
    output, seen = sent(Reply(201, body={"ticket": 7}), json={"a": 1})
    assert output == {"status": 201, "body": {"ticket": 7}}
    assert seen.headers["idempotency-key"] == seen.headers["webhook-id"] == "msg_1"
    assert Receiver(SECRET).verify(seen.body, seen.headers) == {"a": 1}


def test_direct_delivery_is_sent_at_once_too() -> None:
    """`delivery: direct` needs no `save`."""
    assert sent(Reply(), saves=False, delivery="direct")[0] == {"status": 200, "body": None}


def test_durable_delivery_with_save_gives_the_id() -> None:
    """`delivery: durable` goes to the outbox even if the output is saved."""
    ctx = FakeContext({}, saves=True)
    assert run(Webhook(connection="b", delivery="durable").run(ctx)) == {"id": "msg_1"}
    assert len(ctx.sent) == 1


@pytest.mark.parametrize(
    ("status", "is_retryable"), [(500, True), (429, True), (400, False), (302, False)]
)
def test_a_bad_answer_fails_a_direct_step(status: int, is_retryable: bool) -> None:
    """The step fails, and its `retry` may try again where that helps."""
    with pytest.raises(ActionFailed, match=f"HTTP {status}") as caught:
        sent(Reply(status), json={})
    assert caught.value.retryable is is_retryable


@pytest.mark.parametrize("delivery", [None, "durable", "direct"])
def test_in_virtual_time_nothing_leaves(delivery: str | None) -> None:
    """`NotSent` comes through untouched."""

    async def main() -> None:
        with pytest.raises(NotSent):
            await Webhook(connection="b", delivery=delivery).run(FakeContext())

    run_virtual(main())


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "no target"),
        ({"url": "https://a.test", "connection": "b"}, "exclude"),
        ({"url": "https://a.test", "path": "/x"}, "exclude"),
        ({"path": "/x"}, "no target"),
        ({"connection": "b", "json": {}, "body": ""}, "exclude"),
        ({"connection": "b", "type": "t", "body": ""}, "envelope"),
    ],
)
def test_options_that_do_not_go_together_are_found(options: dict[str, Any], word: str) -> None:
    """`check` finds what cannot be meant."""
    (fault,) = Webhook.check(options)
    assert word in fault.message


def test_it_runs_in_the_background_unless_somebody_waits() -> None:
    """`save` and `delivery: direct` make the step wait."""
    assert Webhook.is_background({}, saves=False)
    assert not Webhook.is_background({}, saves=True)
    assert not Webhook.is_background({"delivery": "direct"}, saves=False)


def test_the_outbox_of_services_delivers_signed_and_again() -> None:
    """Services, outbox and connection together: each id is sent once, signed where it can be."""

    async def main() -> Any:
        async with Server(Reply(400), Reply(200)) as server:
            options = HttpConnection(base_url=server.url, signing_secret=SECRET)
            shared = services(
                {"billing": lambda s: HttpConnection.open("billing", options, s, Allow())}
            )
            for number in (1, 2, 2):
                await shared.deliver(Delivery(f"msg_{number}", "billing", "/in", b"{}"))
            await shared.deliver(Delivery("msg_3", "", f"{server.url}/open", b"{}"))
            await shared.aclose()
            return server.seen

    seen = run(main())
    assert sorted(one.headers["webhook-id"] for one in seen) == ["msg_1", "msg_2", "msg_3"]
    signed = [one for one in seen if one.target == "/in"]
    assert all(Receiver(SECRET).verify(one.body, one.headers) == {} for one in signed)
    assert "webhook-signature" not in next(o for o in seen if o.target == "/open").headers


def test_services_in_virtual_time_refuse_everything() -> None:
    """Connections, deliveries and the client raise `NotSent`."""

    async def main() -> None:
        shared = Services(virtual_clock(), Memory(), {})
        with pytest.raises(NotSent):
            await shared.connection("").request("GET", "https://a.test")
        with pytest.raises(NotSent):
            shared.connection("crm")
        with pytest.raises(NotSent):
            await shared.deliver(Delivery("msg_1", "", "https://a.test", b""))
        with pytest.raises(NotSent):
            await shared.http.get("https://a.test")
        await shared.aclose()

    run_virtual(main())


@pytest.mark.parametrize("name", ["Idempotency-Key", "WEBHOOK-ID", "webhook-signature"])
def test_no_step_chooses_the_headers_of_the_delivery(name: str) -> None:
    """By them a receiver tells a repetition; validation refuses them, and they are never sent."""
    text = (
        "version: 1\nsession:\n  user_turn:\n"
        f"    - webhook: {{url: 'https://a.example.com/', headers: {{{name}: x}}, json: {{}}}}\n"
    )
    assert [p.code for p in check_text(text).problems] == ["HK125"]

    async def main() -> Any:
        async with Server(Reply(200)) as server:
            shared = services({"billing": lambda s: HttpConnection.open(
                "billing", HttpConnection(base_url=server.url), s, Allow())})  # fmt: skip
            await shared.deliver(Delivery("msg_1", "billing", "/in", b"{}", headers={name: "x"}))
            await shared.aclose()
            return server.seen

    (one,) = run(main())
    assert one.headers["idempotency-key"] == one.headers["webhook-id"] == "msg_1"
    assert "webhook-signature" not in one.headers
