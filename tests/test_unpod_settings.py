"""Our own runner on the Unpod wire: what can never work is said at once, and why a link failed."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from orchestrator import AgentRunner
from orchestrator.errors import EnvironmentFailure, UserError
from orchestrator.runtimes.unpod import control
from orchestrator.runtimes.unpod.native import UnpodExchange

GOOD = {"url": "wss://unpod.example", "token": "t0ken-canary", "org_handle": "o"}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"url": "https://unpod.example"}, "has the form wss://HOST"),
        ({"url": "unpod.example:443"}, "wss://HOST"),
        ({"url": ""}, "wss://HOST"),
        ({"url": "wss://"}, "the host is missing"),
        ({"url": "wss://unpod.example:0"}, "a port is"),
        ({"url": "wss://unpod.example/?token=t0ken-canary"}, "with no user"),
        ({"url": "wss://u:t0ken-canary@unpod.example"}, "with no user"),
        ({"token": "t0ken-canary\n"}, "token holds characters"),
        ({"token": "t0ken-canäry"}, "token holds characters"),
        ({"token": ""}, "token is empty"),
        ({"org_handle": "a\r\nX: y"}, "org_handle holds characters"),
        ({"org_handle": " "}, "org_handle is empty"),
        ({"agent_id": ""}, "agent_id is empty"),
        ({"max_concurrent": 0}, "max_concurrent"),
    ],
)
def test_what_can_never_work_is_refused_at_once(bad: dict[str, Any], words: str) -> None:
    """In one line without what is secret, not by trying again for ever."""
    given = {"agent_id": "a", **GOOD, **bad}
    with pytest.raises(UserError, match=words) as raised:
        UnpodExchange(given.pop("agent_id"), **given)
    assert "canary" not in str(raised.value)
    UnpodExchange("a", **GOOD)


def held(status: HTTPStatus, caplog: pytest.LogCaptureFixture) -> str:
    """What the log says of a link whose handshake is refused with a status."""

    async def main() -> None:
        asked = asyncio.Event()

        def refuse(connection: ServerConnection, request: Any) -> Any:
            asked.set()
            return connection.respond(status, "no t0ken-canary")

        async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=refuse) as on:
            url = f"ws://127.0.0.1:{next(iter(on.sockets)).getsockname()[1]}"
            exchange = UnpodExchange("a", **{**GOOD, "url": url})
            runner = asyncio.create_task(AgentRunner(None, exchange=exchange).run())  # type: ignore[arg-type]
            await asked.wait()
            said = asyncio.create_task(logged(caplog))
            async with asyncio.timeout(20):
                await asyncio.wait({runner, said}, return_when=asyncio.FIRST_COMPLETED)
            said.cancel()
            if runner.done():
                await runner
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)

    asyncio.run(main())
    return " ".join(str(vars(record)) for record in caplog.records)


async def logged(caplog: pytest.LogCaptureFixture) -> None:
    while not any("control link lost" in r.getMessage() for r in caplog.records):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN])
def test_a_handshake_refused_for_its_credentials_is_not_tried_again(
    status: HTTPStatus, caplog: pytest.LogCaptureFixture
) -> None:
    """What stands before the orchestrator says it so."""
    with pytest.raises(EnvironmentFailure, match=rf"HTTP {int(status)}\); check token") as raised:
        held(status, caplog)
    assert "canary" not in str(raised.value)


def test_the_status_of_a_refused_handshake_is_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator sees that the address is another service's."""
    monkeypatch.setattr(control, "backoff", lambda attempt, chance: 30.0)
    said = held(HTTPStatus.NOT_FOUND, caplog)
    assert "HTTP 404" in said
    assert "canary" not in said
