"""Where requests may go."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import Allow
from orchestrator.connections.http import HttpConnection
from orchestrator.egress import Egress, parse_url
from orchestrator.errors import ActionFailed
from orchestrator.validation import check_text
from tests.servers import Opened, Server, run, services

DISGUISED = [
    "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/",
    "http://127.1/", "http://127.0.1/", "http://017700000001/", "http://127.0.0.1.:80x/",
    "http://0/", "http://1/", "https://10.1/", "https://0xa9fea9fe/", "https://a.0x1/",
    "https://user@evil.test/", "https://crm.test@evil.test/", "https://crm.test\\@evil.test/",
    "https:\\\\evil.test/", "https:///evil.test", "https://", "https://crm.test:99999/",
    "https://crm.test:0/", "https://crm.test:x/", "//evil.test/", "ftp://crm.test/",
    "file:///etc/passwd", "javascript:alert(1)", "https://crm..test/", "https://.crm.test/",
    "https://crm.test /", " https://crm.test/", "https://crm.test\n.evil.test/",
    "https://crm.test\t/", "https://crm%2etest/", "https://[::1", "https://[fe80::1%25eth0]/",
    "https://[::ffff:zz]/", "https://\uff11\uff12\uff17.0.0.1/", "https://crm。test/", "https://ⓔvil.test/",
    "https://crm.test/#@evil.test", "https://crm.test/\x00", "https://-crm.test/",
    "https://crm.test/a\\b", "https://crm.test?\\x", "HTTPS:/crm.test/", "https:crm.test",
    "http://127.0.0.1%2f@evil.test/", "http://0x7f.1/", "http://0x7F000001/", "http://127.0.0.0x1/",
    "http://00000177.0.0.1/", "http://127.0.0.01/", "http://127.0.0.1.2/", "http://256.1.1.1/",
    "http://3232235777/", "https://[::ffff:127.0.0.1", "https://[127.0.0.1]/", "https://[]/",
    "https://[::1]extra/", "https://[v1.x]/", "https://crm.test:443:80/", "https://crm.test:+443/",
    "https://crm.test:\uff14\uff14\uff13/", "gopher://crm.test/", "dict://crm.test:11211/",
    "data:text/plain,x", "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun/", "ws://crm.test/",
    "jar:https://crm.test!/", "https://crm.test\u2028/", "https://crm\u00ad.test/",
    "https://evil.test%00.crm.test/", "https://evil.test%2523.crm.test/", "https://u:p@crm.test/",
    "https://@crm.test/", "https://:@crm.test/", "https://crm.test;evil.test/",
    "https://crm.test,evil.test/", "https://*.test/", "https://crm.test\r\nHost: evil.test/",
    "\x00https://crm.test/", "https://1.2.3/", "https://0xdeadbeef/", "https://crm.test\x7f/",
]  # fmt: skip

PRIVATE = [
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "::1", "fc00::1",
    "fd12::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:0a00:0001::", "64:ff9b::10.0.0.1",
    "::10.0.0.1", "192.0.2.1", "198.18.0.1", "240.0.0.1", "2001:db8::1",
    "10.255.255.255", "172.31.255.255", "192.0.0.1", "198.51.100.1", "203.0.113.1", "fdff::1",
    "::ffff:192.168.0.1", "2002:c0a8:0101::", "64:ff9b::192.168.0.1", "127.255.255.254",
    "64:ff9b:1::10.0.0.1", "64:ff9b:1::1", "64:ff9b:1:0a00:0:0100::", "::ffff:0:10.0.0.1",
    "5f00::1", "3fff:fff::1", "100:0:0:1::1", "2001:2::1", "192.88.99.1", "192.0.0.8", "192.0.0.9",
    "::ffff:0:8.8.8.8", "fec0::1", "feff::1", "2606:4700::5efe:10.0.0.1", "2002:7f00:1::",
    "2606:4700::200:5efe:192.168.0.1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "64:ff9b::127.0.0.1",
]  # fmt: skip
METADATA = [
    "169.254.169.254", "169.254.1.1", "fe80::1", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200",
    "168.63.129.16", "::ffff:169.254.169.254", "::ffff:100.100.100.200", "2002:a9fe:a9fe::",
    "64:ff9b::169.254.169.254", "169.254.170.2", "192.0.0.192", "fe80::a9fe:a9fe",
    "64:ff9b:1::169.254.169.254", "64:ff9b:1:a9fe:a9:fe00::", "::ffff:0:169.254.169.254",
    "2606:4700::5efe:169.254.169.254", "2001:0:a9fe:a9fe::1",
]  # fmt: skip
NOBODY = ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:0.0.0.0"]  # noqa: S104 - refused


def test_there_are_at_least_a_hundred_attack_forms() -> None:
    """Each is tried once, in one of the tests below; paths and headers have tables of their own."""
    forms = [*DISGUISED, *PRIVATE, *METADATA, *NOBODY]
    assert len(forms) == len(set(forms))
    assert len(forms) >= 100


def reaches(host: str, address: str, egress: Egress) -> bool:
    try:
        egress.check_address(host, ipaddress.ip_address(address))
    except ActionFailed:
        return False
    return True


@pytest.mark.parametrize("url", DISGUISED)
def test_a_url_that_readers_disagree_about_is_refused(url: str) -> None:
    """Numeric hosts in disguise, user parts, backslashes and control characters are refused."""
    with pytest.raises(ActionFailed):
        parse_url(url)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://CRM.test/a?b=1", "crm.test"),
        ("https://crm.test.:8443/", "crm.test"),
        ("http://127.0.0.1:80/", "127.0.0.1"),
        ("http://[::1]:8080/", "::1"),
        ("https://xn--bcher-kva.test", "xn--bcher-kva.test"),
        ("https://my_host.internal/", "my_host.internal"),
        ("https://4crm.test", "4crm.test"),
    ],
)
def test_a_plain_url_is_taken_apart(url: str, host: str) -> None:
    """A plain URL gives its host in lower case."""
    assert parse_url(url).host == host


@given(st.text(max_size=60))
def test_any_text_is_judged_without_another_error(text: str) -> None:
    """Whatever follows the host, the host stays, or the URL is refused."""
    try:
        url = parse_url(f"https://crm.test/{text}")
    except ActionFailed:
        return
    assert url.host == "crm.test"


@pytest.mark.parametrize("address", [*PRIVATE, *METADATA, *NOBODY])
def test_an_address_inside_the_network_is_refused(address: str) -> None:
    """A public name does not lead to a private, link-local, metadata or nobody's address."""
    assert not reaches("crm.test", address, Egress())


@pytest.mark.parametrize("address", PRIVATE)
def test_allow_private_opens_the_network(address: str) -> None:
    """`allow_private` permits private addresses."""
    assert reaches("crm.test", address, Egress(allows_private=True))


@pytest.mark.parametrize("address", [*METADATA, *NOBODY])
def test_allow_private_does_not_open_metadata(address: str) -> None:
    """`allow_private` permits no metadata service and no multicast."""
    assert not reaches("crm.test", address, Egress(allows_private=True))


def test_a_listed_host_may_have_any_machine_address() -> None:
    """A host under `allow: hosts` may have any address but multicast and unspecified ones."""
    egress = Egress(frozenset({"crm.test"}))
    assert all(reaches("crm.test", address, egress) for address in [*PRIVATE, *METADATA])
    assert not any(reaches("crm.test", address, egress) for address in NOBODY)
    assert not reaches("other.test", "10.0.0.1", egress)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_a_public_address_is_reached(address: str) -> None:
    """Public addresses are free."""
    assert reaches("crm.test", address, Egress())


@pytest.mark.parametrize(
    ("url", "is_good"),
    [
        ("http://crm.test/", False),
        ("https://crm.test/", True),
        ("http://listed.test/", True),
        ("http://localhost:1/", True),
        ("http://127.0.0.1/", True),
        ("http://127.8.8.8/", True),
        ("http://[::1]/", True),
        ("https://10.0.0.1/", False),
        ("https://169.254.169.254/", False),
        ("http://[::ffff:127.0.0.1]/", True),
        ("https://[::ffff:10.0.0.1]/", False),
        ("http://localhost.evil.test/", False),
    ],
)
def test_plain_http_is_for_this_machine_and_listed_hosts(url: str, is_good: bool) -> None:
    """Plain http goes to loopback and listed hosts only; literal addresses are judged at once."""
    egress = Egress(frozenset({"listed.test"}))
    if is_good:
        egress.check(parse_url(url))
    else:
        with pytest.raises(ActionFailed):
            egress.check(parse_url(url))


def with_names(monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[list[str]]]) -> list[str]:
    """Make names resolve as a test says, one list after another; the names that were asked."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        if host not in answers:
            raise socket.gaierror(-2, "Name or service not known")
        found = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_name_that_resolves_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose address is private is refused before a socket opens, and not tried again."""

    async def main() -> None:
        with_names(monkeypatch, {"crm.test": [["10.0.0.1"]]})
        async with Opened("https://crm.test") as crm:
            with pytest.raises(ActionFailed, match="has the private address") as caught:
                await crm.request("GET", "/")
        assert not caught.value.retryable

    run(main())


def test_one_bad_address_among_good_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a public and a private address is refused."""

    async def main() -> None:
        with_names(monkeypatch, {"crm.test": [["8.8.8.8", "127.0.0.1"]]})
        async with Opened("https://crm.test") as crm:
            with pytest.raises(ActionFailed, match="private address"):
                await crm.request("GET", "/")

    run(main())


def test_the_socket_goes_to_the_address_that_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one look-up a socket, the request still names the host, and nothing is rebound."""

    async def main() -> None:
        async with Server() as server:
            asked = with_names(monkeypatch, {"crm.test": [["127.0.0.1"], ["10.0.0.1"]]})
            url = f"http://crm.test:{server.port}"
            async with Opened(url, hosts=("crm.test",)) as crm:
                await crm.request("GET", "/a")
                await crm.request("GET", "/b")
            assert asked == ["crm.test"]
            assert server.seen[0].headers["host"] == f"crm.test:{server.port}"

    run(main())


def test_a_name_that_changes_its_address_is_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new socket is judged by the address it gets, so that rebinding finds nothing."""

    async def main() -> None:
        with_names(monkeypatch, {"crm.test": [["127.0.0.1"], ["169.254.169.254"]]})
        async with Opened("https://crm.test", allow_private=True) as crm:
            with pytest.raises(ActionFailed):  # nobody listens on 443 here
                await crm.request("GET", "/", timeout=2.0)
            with pytest.raises(ActionFailed, match="metadata"):
                await crm.request("GET", "/", timeout=2.0)

    run(main())


def test_an_unknown_name_may_be_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing look-up is worth another try."""

    async def main() -> None:
        with_names(monkeypatch, {})
        async with Opened("https://crm.test") as crm:
            with pytest.raises(ActionFailed, match="the name is unknown") as caught:
                await crm.request("GET", "/")
        assert caught.value.retryable

    run(main())


def test_a_slow_look_up_does_not_outlast_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up that hangs ends with the request's timeout, and other work goes on meanwhile."""

    async def main() -> None:
        def hang(*_: Any, **__: Any) -> None:
            over.wait(60)

        over = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", hang)
        async with Opened("https://crm.test") as crm:
            with pytest.raises(ActionFailed, match="no answer within") as caught:
                await crm.request("GET", "/", timeout=0.05)
        over.set()
        assert caught.value.retryable

    run(main())


def test_tls_is_for_the_host_not_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The TLS greeting names the host, although the socket goes to its judged address."""

    async def main() -> None:
        greeting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            greeting.set_result(await reader.read(2000))
            writer.close()

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with_names(monkeypatch, {"crm.test": [["127.0.0.1"]]})
        async with Opened(f"https://crm.test:{port}", allow_private=True) as crm:
            with pytest.raises(ActionFailed):
                await crm.request("GET", "/", timeout=2.0)
        assert b"crm.test" in await greeting
        server.close()

    run(main())


@pytest.mark.parametrize(
    "url",
    ["https://0x7f000001/", "https://2130706433/", "https://127.1/", "https://0/",
     "https://017700000001/", "https://100.64.0.1/", "https://example.com:65536/",
     "https://\uff11\uff12\uff17.0.0.1/", "https://example.com\\\\@evil.com/",
     "https://[64:ff9b:1::a00:1]/", "https://[fec0::1]/"],
)  # fmt: skip
def test_a_url_that_can_only_fail_is_found_at_validation(url: str) -> None:
    """By the functions that judge it when the request is made; of steps and of connections."""
    top = "version: 1\n"
    step = f'session: {{user_turn: [{{http: {{url: "{url}"}}}}]}}\n'
    found = check_text(top + step).problems
    assert len(found) == 1
    assert found[0].code in ("HK123", "HK512")
    used = "session: {user_turn: [{http: {connection: a, path: /x}}]}\n"
    found = check_text(
        f'{top}connections: {{a: {{kind: http, base_url: "{url}"}}}}\n{used}'
    ).problems
    assert len(found) == 1


def test_names_that_nobody_answers_hold_up_their_hosts_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many look-ups hang: other names are looked up, and addresses need none."""
    over, real = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host: str, *given: Any, **named: Any) -> Any:
        if host.startswith("dead"):
            over.wait(30)
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return real(host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def main() -> None:
        async with Server() as server:
            shared = services()
            names = [f"https://dead-{number}.test" for number in range(5)]
            dead = [HttpConnection.open("c", HttpConnection(base_url=url), shared, Allow())
                    for url in names]  # fmt: skip
            asking = [
                asyncio.create_task(one.request("GET", "/", timeout=5.0))
                for one in dead
                for _ in range(10)
            ]
            await asyncio.sleep(0.1)
            for host in ("127.0.0.1", "localhost"):
                url = f"http://{host}:{server.port}"
                good = HttpConnection.open("g", HttpConnection(base_url=url), shared, Allow())
                await good.request("GET", "/", timeout=2.0)
                await good.aclose()
            assert not any(task.done() for task in asking)
            over.set()
            await asyncio.gather(*asking, return_exceptions=True)
            for one in dead:
                await one.aclose()

    run(main())
