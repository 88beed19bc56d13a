"""A proxy is used where a connection asks for one, and nowhere else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from orchestrator import Orchestrator
from orchestrator.config import Allow
from orchestrator.connections.credentials import Proxy
from orchestrator.connections.http import HttpConnection
from orchestrator.egress import parse_url
from orchestrator.errors import ActionFailed, ConfigError
from orchestrator.validation import check_text
from tests.servers import Opened, Reply, Server, run, services


@asynccontextmanager
async def proxy(heads: list[str]) -> AsyncIterator[str]:
    """A CONNECT proxy that refuses all it is asked for, and writes that down."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_requests_in_clear_go_through_the_proxy_whole() -> None:
    """It gets the whole URL, and its own login; the service's credentials stay where they belong."""

    async def main() -> None:
        async with Server(Reply(200, {"a": 1})) as server:
            way = Proxy(url=server.url, user="me", password="cnry-proxy")
            async with Opened("http://crm.test/api", hosts=("crm.test",), proxy=way) as crm:
                answer = await crm.request("GET", "/x")
            (seen,) = server.seen
        assert answer.json == {"a": 1}
        assert (seen.target, seen.headers["host"]) == ("http://crm.test/api/x", "crm.test")
        login = base64.b64encode(b"me:cnry-proxy").decode()
        assert seen.headers["proxy-authorization"] == f"Basic {login}"
        assert list(crm.made_secrets()) == [login]

    run(main())


def test_https_goes_through_a_tunnel_to_the_named_host() -> None:
    """The proxy looks the name up; what it refuses may be let through later."""
    heads: list[str] = []

    async def main() -> None:
        async with (
            proxy(heads) as url,
            Opened("https://crm.test", proxy=Proxy(url=url)) as crm,
        ):
            with pytest.raises(ActionFailed) as caught:
                await crm.request("GET", "/x")
            assert caught.value.retryable

    run(main())
    assert heads[0].startswith("CONNECT crm.test:443 HTTP/1.1\r\n")


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one that the config asks for."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def main() -> None:
        async with Server() as server, Opened(server.url) as crm:
            await crm.request("GET", "/x")
            assert server.seen[0].target == "/x"

    run(main())


@pytest.mark.parametrize("url", ["https://10.0.0.1", "https://169.254.169.254", "http://crm.test"])
def test_what_is_written_out_is_judged_all_the_same(url: str) -> None:
    """A proxy is no way around the rules for addresses and schemes."""
    way = HttpConnection(base_url=url, proxy=Proxy(url="http://127.0.0.1:3128"))
    assert list(way.faults(Allow()))


@pytest.mark.parametrize(
    "proxy_", ["{url: 'http://p.test/x'}", "{url: 'socks5://p.test'}", "{url: 'http://p', user: a}"]
)
def test_a_proxy_that_is_none_takes_no_call(proxy_: str) -> None:
    """With a path, another scheme, or half of a login: found when the config is loaded."""
    text = (
        "version: 1\nconnections:\n"
        f"  crm: {{kind: http, base_url: 'https://crm.test', proxy: {proxy_}}}\n"
        "session: {user_turn: [{http: {connection: crm, path: /x}}]}\n"
    )
    checked = check_text(text)
    if not [problem for problem in checked.problems if problem.is_error]:
        assert checked.config is not None
        with pytest.raises(ConfigError, match="`proxy`"):
            Orchestrator(checked.config, variables={}, outbox="memory:")


def test_a_proxy_inside_the_network_may_be_reached_and_nothing_else() -> None:
    """Its own address is the author's choice, as that of a listed host."""
    connection = HttpConnection.open(
        "c", HttpConnection(base_url="https://crm.test", proxy=Proxy(url="http://10.0.0.9:3128")),
        services(), Allow(),
    )  # fmt: skip
    assert connection._way().proxy == parse_url("http://10.0.0.9:3128")  # type: ignore[union-attr]
    run(connection.aclose())
