"""Receivers whose answers are made to keep a reader busy: the loop goes on, the attempt is judged."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from orchestrator.action import Delivery
from orchestrator.connections.answers import HttpAnswer
from orchestrator.errors import ActionFailed
from tests.faults.record import Fault, size, watched
from tests.servers import Opened

#: What is sent first, what then again and again, and what becomes of an attempt.
FLOODS = {
    "interim answers": (b"", b"HTTP/1.1 100 C\r\n\r\n" * 4_000, "head"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"a:\r\n" * 20_000, "head"),
    "one endless header": (b"HTTP/1.1 200 OK\r\na: ", b"a" * 65_536, "head"),
    "chunks of one byte": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 10_000, "taken",
    ),
    "line ends": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"\n" * 65_536, "taken"),
}  # fmt: skip


@contextmanager
def flooding(first: bytes, then: bytes) -> Iterator[str]:
    """A server in threads of its own: its work is not measured as ours."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            while b"\r\n\r\n" not in peer.recv(65_536):
                pass
            peer.sendall(first)
            for _ in range(400):
                peer.sendall(then)

    def listen() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_small_things_stalls_nothing(name: str) -> None:
    """As many attempts at once as an endpoint gets, and a step that reads the whole answer."""
    first, then, outcome = FLOODS[name]
    fault = Fault(f"receiver floods with {name}", injected=size(4, 40))

    async def attempt(http: object, number: int) -> HttpAnswer | str:
        try:
            return await http.send(Delivery(f"m{number}", "crm", "/", b"{}"), 5.0)  # type: ignore[attr-defined, no-any-return]
        except ActionFailed as error:
            return str(error)

    async def main(url: str) -> None:
        async with Opened(url) as http:
            await attempt(http, 0)  # imports what the first one does
            async with watched(fault):
                for _ in range(fault.injected // 4):
                    came = await asyncio.gather(*(attempt(http, n) for n in range(4)))
                    is_well = [
                        "head of the answer is too large" in answer
                        if isinstance(answer, str)
                        else answer.status == 200
                        for answer in came
                    ]
                    assert all(isinstance(one, str) is (outcome == "head") for one in came), came
                    fault.survived += sum(is_well)
                with pytest.raises(ActionFailed):
                    await http.request("GET", "/", timeout=5.0)

    with flooding(first, then) as url:
        asyncio.run(main(url))
    fault.check()
