"""`http`: a request whose answer is used."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actions.http import Http
from orchestrator.clock import run_virtual
from orchestrator.config import Allow
from orchestrator.connections.http import open_web
from orchestrator.errors import ActionFailed, NotSent
from tests.fakes import FakeContext
from tests.servers import Opened, Reply, Server, run, services


def ask(reply: Reply, **options: Any) -> tuple[Any, Any]:
    """Run one request; its output and the request as it came in."""

    async def main() -> Any:
        async with Server(reply) as server, Opened(server.url) as shop:
            ctx = FakeContext({"shop": shop}, saves=True)
            output = await Http(connection="shop", **options).run(ctx)
            return output, server.seen[0]

    return run(main())  # type: ignore[no-any-return]


def test_the_answer_is_the_output() -> None:
    """Status and body, read as JSON."""
    output, seen = ask(Reply(body={"state": "sent"}), path="/orders/7", query={"full": True})
    assert output == {"status": 200, "body": {"state": "sent"}}
    assert (seen.method, seen.target, seen.body) == ("GET", "/orders/7?full=true", b"")
    assert "idempotency-key" not in seen.headers


def test_a_post_carries_json_and_its_key() -> None:
    """JSON of any kind is sent, under a key that stays the same when it is tried again."""
    _, seen = ask(Reply(), path="/x", method="POST", json="just text", headers={"X-A": "b"})
    assert (seen.json, seen.headers["content-type"]) == ("just text", "application/json")
    assert (seen.headers["idempotency-key"], seen.headers["x-a"]) == ("msg_1", "b")


def test_the_key_is_never_the_steps_own() -> None:
    """Whatever its spelling: by the key a receiver tells a repetition."""
    _, seen = ask(Reply(), path="/x", method="POST", json=1, headers={"IDEMPOTENCY-key": "b"})
    assert seen.headers["idempotency-key"] == "msg_1"


def test_a_body_is_sent_as_it_is() -> None:
    """Text is sent as text, and its type may be given."""
    _, seen = ask(Reply(), method="PUT", body="<a/>", headers={"Content-Type": "text/xml"})
    assert (seen.body, seen.headers["content-type"], seen.target) == (b"<a/>", "text/xml", "/")


@pytest.mark.parametrize("expect", [404, [200, 404]])
def test_an_expected_status_is_right(expect: Any) -> None:
    """What `expect` lists does not fail the step."""
    assert ask(Reply(404), path="/x", expect=expect)[0] == {"status": 404, "body": None}


def test_another_status_fails_the_step() -> None:
    """A status that is not expected fails."""
    with pytest.raises(ActionFailed, match="HTTP 500"):
        ask(Reply(500))


def test_a_whole_url_needs_no_connection() -> None:
    """`url` goes through the open web, under the same rules."""

    async def main() -> Any:
        async with Server(Reply(body="hi", headers={"Content-Type": "text/plain"})) as server:
            web = open_web(services(), Allow())
            ctx = FakeContext({"": web})
            good = await Http(url=f"{server.url}/a").run(ctx)
            with pytest.raises(ActionFailed):
                await Http(url="https://169.254.169.254/latest").run(ctx)
            await web.aclose()
            return good

    assert run(main()) == {"status": 200, "body": "hi"}


def test_many_requests_at_once_do_not_hold_each_other_up() -> None:
    """A hundred requests, each slow, finish in about the time that the pool allows."""

    async def main() -> float:
        async with Server(Reply(delay=0.05)) as server, Opened(server.url) as shop:
            ctx = FakeContext({"shop": shop})
            began = asyncio.get_running_loop().time()
            await asyncio.gather(*(Http(connection="shop").run(ctx) for _ in range(100)))
            return asyncio.get_running_loop().time() - began

    assert run(main()) < 3.0


def test_in_virtual_time_nothing_is_asked() -> None:
    """`NotSent` comes through untouched."""

    async def main() -> None:
        with pytest.raises(NotSent):
            await Http(connection="shop").run(FakeContext())

    run_virtual(main())


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "no target"),
        ({"connection": "a", "json": {}}, "no body"),
        ({"connection": "a", "body": "x", "method": "HEAD"}, "no body"),
        ({"connection": "a", "json": {}, "body": "x", "method": "POST"}, "exclude"),
        ({"url": "https://a.test", "connection": "a"}, "exclude"),
    ],
)
def test_options_that_do_not_go_together_are_found(options: dict[str, Any], word: str) -> None:
    """`check` finds what cannot be meant."""
    (fault,) = Http.check(options)
    assert word in fault.message
