"""Requests under a connection: where they go, what they carry, what comes back."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from orchestrator.action import Delivery
from orchestrator.config import Allow
from orchestrator.connections.credentials import Auth, Basic, Header
from orchestrator.connections.http import IN_FLIGHT, HttpConnection, open_web
from orchestrator.connections.paths import join_path, whole_url
from orchestrator.egress import parse_url
from orchestrator.encoding import json_bytes
from orchestrator.errors import ActionFailed, EnvironmentFailure, OrchestratorError
from tests.servers import Opened, Reply, Server, run, services

BASE = parse_url("https://crm.test/api/v1")
SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()

TRICKS = [
    "//evil.test", "///evil.test", "/\\evil.test", "\\\\evil.test", "/..", "/../..", "/a/../../b",
    "../b", "..", ".", "/.", "/./a", "/%2e%2e/b", "/%2E%2E", "/.%2e/", "/%252e%252e/b", "/a/..;/b",
    "/..;x=1/b", "/a/%2e%2e%2fb", "/..%2fb", "/..%5cb", "/a%2f..%2fb", "/%2e", "/a/..%00", "/a//b",
    "https://evil.test/", "http:evil.test//", "/a?host=evil", "/a#evil", "?x=1", "#x", "/a\rb",
    "/a\nHost: evil", "/a\x00b", "/a\tb", "/\x7f", "/ ..", "/.. /b", "/%20../b", "/a/..\\b",
    "/%25252525252525252e%25252525252525252e/", "/a/%5c..%5c/b", "/..%252f", "/%c0%ae%c0%ae\\",
    "a//", "//", "/a/%2e%2e;v=1/b",
]  # fmt: skip
HARMLESS = [
    ("", "https://crm.test/api/v1"),
    ("/", "https://crm.test/api/v1/"),
    ("@evil.test", "https://crm.test/api/v1/@evil.test"),
    (":80@evil.test/", "https://crm.test/api/v1/:80@evil.test/"),
    (".evil.test", "https://crm.test/api/v1/.evil.test"),
    ("/a@b", "https://crm.test/api/v1/a@b"),
    ("/a b", "https://crm.test/api/v1/a%20b"),
    ("/...", "https://crm.test/api/v1/..."),
    ("/a..b", "https://crm.test/api/v1/a..b"),
    ("/é", "https://crm.test/api/v1/%C3%A9"),
    ("/100%", "https://crm.test/api/v1/100%25"),
    ("/a%2Fb", "https://crm.test/api/v1/a%2Fb"),
    ("/\ud800", "https://crm.test/api/v1/%3F"),
    ("/<script>", "https://crm.test/api/v1/%3Cscript%3E"),
]


def test_there_are_at_least_forty_tricks() -> None:
    """The list of tricks does not shrink."""
    assert len(set(TRICKS)) >= 40


@pytest.mark.parametrize("path", TRICKS)
def test_a_path_that_would_leave_the_base_is_refused(path: str) -> None:
    """No path leads to another host or above the base."""
    with pytest.raises(ActionFailed):
        join_path(BASE, path)


@pytest.mark.parametrize(("path", "url"), HARMLESS)
def test_a_harmless_path_stays_under_the_base(path: str, url: str) -> None:
    """What looks odd but stays under the base is encoded and sent there."""
    assert join_path(BASE, path) == url
    assert httpx.URL(url).host == "crm.test"


@given(st.text(alphabet=st.sampled_from("/\\.@:%2ef?#;a \n\x00é["), max_size=12) | st.text())
def test_whatever_the_path_the_host_stays(path: str) -> None:
    """A joined URL has the base's host and begins with the base's path, or is refused."""
    try:
        url = httpx.URL(join_path(BASE, path))
    except ActionFailed:
        return
    assert (url.host, url.userinfo, url.query, url.fragment) == ("crm.test", b"", b"", "")
    assert url.path.startswith("/api/v1")


@pytest.mark.parametrize("url", ["https://crm.test/a/../b", "https://crm.test//b", "crm.test/a"])
def test_a_whole_url_is_judged_as_strictly(url: str) -> None:
    """A URL without a connection may not step up or have empty parts."""
    with pytest.raises(ActionFailed):
        whole_url(url)


def get(server: Server, **options: Any) -> Any:
    """One GET of /x under a connection with these options."""

    async def ask() -> Any:
        async with Opened(server.url, **options) as crm:
            return await crm.request("GET", "/x")

    return ask()


def test_a_request_carries_credentials_headers_and_query() -> None:
    """Bearer token, fixed and further headers, query and JSON body arrive as written."""

    async def main() -> None:
        async with Server(Reply(body={"ok": True})) as server:
            options = {"auth": Auth(bearer="t0ken"), "headers": {"X-Team": "a"}}
            async with Opened(server.url + "/v1", **options) as crm:
                answer = await crm.request(
                    "POST",
                    "/a/b",
                    query={"q": "x y&z", "n": 3, "on": True, "none": None, "many": [1, 2]},
                    body={"name": "José"},
                    headers={"X-Name": "José"},
                )
            assert answer.json == {"ok": True}
            seen = server.seen[0]
            assert seen.target == "/v1/a/b?q=x+y%26z&n=3&on=true&many=1&many=2"
            assert seen.headers["authorization"] == "Bearer t0ken"
            assert (seen.headers["x-team"], seen.headers["x-name"]) == ("a", "Jos%C3%A9")
            assert seen.headers["content-type"] == "application/json"
            assert seen.json == {"name": "José"}

    run(main())


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        (Auth(basic=Basic(user="u", password="p:w")), "authorization", "Basic dTpwOnc="),
        (Auth(header=Header(name="X-Api-Key", value="k")), "x-api-key", "k"),
    ],
)
def test_other_credentials_arrive_too(auth: Auth, name: str, value: str) -> None:
    """User and password, and a key in a header."""

    async def main() -> None:
        async with Server() as server:
            await get(server, auth=auth)
            assert server.seen[0].headers[name] == value

    run(main())


def test_a_header_of_a_step_does_not_replace_the_credentials() -> None:
    """The connection's credentials win over a header of the same name."""

    async def main() -> None:
        async with Server() as server, Opened(server.url, auth=Auth(bearer="t")) as crm:
            await crm.request("GET", "/", headers={"AUTHORIZATION": "Bearer other"})
            assert server.seen[0].headers["authorization"] == "Bearer t"

    run(main())


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "a\r\nX-Evil: 1"}, {"X-A": "a\n"}, {"X-A": "a\x00"}, {"X-A\r\n": "a"},
        {"X A": "a"}, {"": "a"}, {"Host": "evil.test"}, {"content-length": "0"},
        {"Transfer-Encoding": "chunked"}, {"X-A": "a\x7f"}, {"X-É": "a"}, {"Connection": "close"},
    ],
)  # fmt: skip
def test_a_header_cannot_break_out_of_its_line(headers: dict[str, str]) -> None:
    """Line ends, control characters and framing headers are refused, and nothing is sent."""

    async def main() -> None:
        async with Server() as server, Opened(server.url) as crm:
            with pytest.raises(ActionFailed):
                await crm.request("GET", "/", headers=headers)
            assert server.seen == []

    run(main())


@pytest.mark.parametrize(
    ("status", "is_retryable"),
    [(400, False), (401, False), (403, False), (404, False), (409, False), (422, False),
     (408, True), (425, True), (429, True), (500, True), (502, True), (503, True), (504, True),
     (301, False), (302, False), (307, False)],
)  # fmt: skip
def test_a_bad_status_fails_and_says_whether_to_try_again(status: int, is_retryable: bool) -> None:
    """408, 425, 429 and 5xx are worth another try; redirects are neither followed nor right."""

    async def main() -> None:
        there = Reply(status, headers={"Retry-After": "7", "Location": "/elsewhere"})
        async with Server(there) as server:
            with pytest.raises(ActionFailed, match=f"HTTP {status}") as caught:
                await get(server)
            assert caught.value.retryable is is_retryable
            assert caught.value.detail == {"status": status, "retry_after": "7"}
            assert len(server.seen) == 1

    run(main())


def test_a_status_that_is_expected_is_right() -> None:
    """With `expect`, only what is listed is right."""

    async def main() -> None:
        async with Server(Reply(404), Reply(200)) as server, Opened(server.url) as crm:
            assert (await crm.request("GET", "/", expect=[404])).status == 404
            with pytest.raises(ActionFailed, match="HTTP 200"):
                await crm.request("GET", "/", expect=[404])

    run(main())


@pytest.mark.parametrize(
    "reply",
    [
        Reply(is_reset=True),
        Reply(body=b"half", is_cut=True),
        Reply(delay=5),
        Reply(body=b"x" * 99, drip=0.1),
    ],
    ids=["reset", "cut", "hang", "drip"],
)
def test_trouble_on_the_line_is_worth_another_try(reply: Reply) -> None:
    """Resets, cut answers, silence and slow drips end within the timeout, as retryable."""

    async def main() -> None:
        async with Server(reply) as server, Opened(server.url, timeout=0.3) as crm:
            began = asyncio.get_running_loop().time()
            with pytest.raises(ActionFailed) as caught:
                await crm.request("GET", "/")
            assert caught.value.retryable
            assert asyncio.get_running_loop().time() - began < 1.0

    run(main())


def test_nobody_there_is_worth_another_try() -> None:
    """A refused connection is retryable."""

    async def main() -> None:
        async with Server() as server:
            url = server.url
        async with Opened(url) as crm:
            with pytest.raises(ActionFailed) as caught:
                await crm.request("GET", "/")
        assert caught.value.retryable

    run(main())


def test_what_is_no_http_is_worth_another_try() -> None:
    """An answer that is no HTTP fails as retryable, without another error."""

    async def main() -> None:
        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with Opened(f"http://127.0.0.1:{port}") as crm:
            with pytest.raises(ActionFailed) as caught:
                await crm.request("GET", "/")
        assert caught.value.retryable
        server.close()

    run(main())


def test_a_large_answer_is_cut_off() -> None:
    """An answer over `max_response` bytes fails while it is read; one of just that size is fine."""

    async def main() -> None:
        replies = Reply(body=b"x" * 1001), Reply(body=b"x" * 1000)
        async with Server(*replies) as server, Opened(server.url, max_response=1000) as crm:
            with pytest.raises(ActionFailed, match="more than 1,000 bytes") as caught:
                await crm.request("GET", "/")
            assert not caught.value.retryable
            assert len((await crm.request("GET", "/")).body) == 1000

    run(main())


def test_a_compressed_answer_is_not_unpacked() -> None:
    """A small answer that would unpack to a huge one is refused; none was asked for."""

    async def main() -> None:
        async with Server(Reply(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})) as server:
            with pytest.raises(ActionFailed, match="compressed"):
                await get(server)
            assert server.seen[0].headers["accept-encoding"] == "identity"

    run(main())


def test_cookies_do_not_pass_from_call_to_call() -> None:
    """A cookie that one answer sets is not sent with the next request."""

    async def main() -> None:
        async with Server(Reply(headers={"Set-Cookie": "who=ada"})) as server:
            async with Opened(server.url) as crm:
                await crm.request("GET", "/")
                await crm.request("GET", "/")
            assert "cookie" not in server.seen[1].headers

    run(main())


def test_sockets_are_used_again() -> None:
    """Several requests go over one socket."""

    async def main() -> None:
        async with Server() as server, Opened(server.url) as crm:
            for _ in range(5):
                await crm.request("GET", "/")
            assert server.connections == 1

    run(main())


def test_so_many_requests_are_under_way_at_once() -> None:
    """What is over the limit waits its turn, and gets it."""

    async def main() -> None:
        async with Server(Reply(delay=0.02)) as server, Opened(server.url) as crm:
            await asyncio.gather(*(crm.request("GET", "/") for _ in range(60)))
            assert (server.most, len(server.seen)) == (IN_FLIGHT, 60)

    run(main())


def test_a_cancelled_request_gives_its_socket_back() -> None:
    """Steps that run out of time do not use up the pool."""

    async def main() -> None:
        async with Server(Reply(delay=0.2)) as server, Opened(server.url) as crm:
            for _ in range(40):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.005):
                        await crm.request("GET", "/")
            assert (await crm.request("GET", "/")).status == 200

    run(main())


def test_a_delivery_is_signed_by_all_secrets() -> None:
    """The published receiver takes a delivery by the new and by the old secret."""

    async def main() -> None:
        other = "whsec_" + base64.b64encode(b"o" * 24).decode()
        async with Server() as server, Opened(server.url, signing_secret=[SECRET, other]) as crm:
            answer = await crm.send(Delivery("msg_1", "crm", "/in?a=1", b'{"x":1}'))
            assert answer.is_success
            seen = server.seen[0]
            assert (seen.target, seen.headers["idempotency-key"]) == ("/in?a=1", "msg_1")
            for secret in (SECRET, other):
                assert Webhook(secret).verify(seen.body, seen.headers) == {"x": 1}

    run(main())


def test_the_answer_to_a_delivery_is_for_the_caller_to_judge() -> None:
    """A bad status of a delivery is no error here."""

    async def main() -> None:
        async with Server(Reply(503)) as server, Opened(server.url) as crm:
            assert (await crm.send(Delivery("msg_1", "crm", "/", b"{}"))).status == 503

    run(main())


def test_the_open_web_takes_whole_urls() -> None:
    """Without a connection a whole URL is asked, with its query, and judged."""

    async def main() -> None:
        async with Server() as server:
            web = open_web(services(), Allow())
            await web.request("GET", f"{server.url}/a?b=1", query={"c": 2})
            assert server.seen[0].target == "/a?b=1&c=2"
            with pytest.raises(ActionFailed, match="plain http"):
                await web.request("GET", "http://crm.test/")
            await web.aclose()

    run(main())


def test_on_the_open_web_a_host_that_hangs_fills_only_its_own_room() -> None:
    """More requests than there are at once hang at one host; another is asked at once."""

    async def main() -> None:
        async with Server(Reply(delay=60)) as hangs, Server() as good:
            web = open_web(services(), Allow())
            tasks = [
                asyncio.create_task(web.request("GET", hangs.url, timeout=60))
                for _ in range(2 * IN_FLIGHT)
            ]
            await hangs.until(IN_FLIGHT)
            assert (await web.request("GET", good.url)).status == 200
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await web.aclose()

    run(main())


@pytest.mark.parametrize(
    ("body", "content_type", "content"),
    [
        (b'{"a": 1}', "application/json; charset=utf-8", {"a": 1}),
        (b'{"a": 1}', "application/vnd.api+json", {"a": 1}),
        (b"hello", "text/plain", "hello"),
        (b"\xff", "text/plain", "�"),
        (b"", "application/json", None),
        (b"", "text/plain", None),
    ],
)
def test_an_answer_is_json_where_it_says_so(body: bytes, content_type: str, content: Any) -> None:
    """The content is JSON or text by the answer's own word."""

    async def main() -> None:
        async with Server(Reply(body=body, headers={"Content-Type": content_type})) as server:
            assert (await get(server)).content == content

    run(main())


@pytest.mark.parametrize("body", [b"<html>", b"{", b"[" * 100_000, b"\xff"])
def test_broken_json_fails_in_plain_words(body: bytes) -> None:
    """What is no JSON fails as `ActionFailed`, however it is broken."""

    async def main() -> None:
        async with Server(Reply(body=body)) as server:
            answer = await get(server)
            with pytest.raises(ActionFailed, match="no JSON"):
                _ = answer.json

    run(main())


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"base_url": "http://crm.test"}, "plain http"),
        ({"base_url": "https://10.0.0.1"}, "private"),
        ({"base_url": "https://crm.test?a=1"}, "query"),
        ({"base_url": "https://crm.test/../x"}, "steps out"),
        ({"base_url": "crm.test"}, "no plain"),
        ({"signing_secret": "whsec_!"}, "signing_secret"),
        ({"headers": {"X\n": "a"}}, "header"),
        ({"auth": Auth()}, "exactly one"),
        ({"auth": Auth(bearer="a", basic=Basic(user="u", password="p"))}, "exactly one"),
        ({"auth": Auth(bearer="a\r\nX: 1")}, "authorization"),
    ],
)
def test_bad_options_are_found_when_a_config_is_loaded(options: dict[str, Any], word: str) -> None:
    """Each bad option is a fault that names it; opening refuses it too."""
    given = HttpConnection(**{"base_url": "https://crm.test", **options})
    faults = list(given.faults(Allow()))
    assert [fault.option for fault in faults] == list(options)
    assert word in faults[0].message

    async def main() -> None:
        with pytest.raises(EnvironmentFailure, match="connection 'crm'"):
            HttpConnection.open("crm", given, services(), Allow())

    run(main())


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.recursive(SCALARS, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=5))
def test_any_plain_value_is_a_body_or_refused(value: Any) -> None:
    """JSON bodies are made of whatever templates give, or refused in our own words."""
    with contextlib.suppress(OrchestratorError):
        json.loads(json_bytes(value))
