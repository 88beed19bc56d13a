"""Dialog machines behind HTTP, against a real server on this machine."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from orchestrator.clock import run_virtual
from orchestrator.dialog.http import HttpDialog
from orchestrator.dialog.openai import OpenAIDialog
from orchestrator.errors import ActionFailed
from orchestrator.runtime import DialogMachine
from tests.servers import Reply, Server

STREAM = {"content-type": "text/event-stream"}


def chunks(*pieces: str, end: str = "data: [DONE]\n\n") -> str:
    """What a model's server sends for these pieces."""
    lines = [f"data: {json.dumps({'choices': [{'delta': {'content': p}}]})}\n\n" for p in pieces]
    return "".join(lines) + end


async def said(machine: Any, text: str) -> list[str]:
    """The pieces of one reply."""
    return [piece async for piece in machine.stream(text)]


def ask(reply: Reply, *, streams: bool = False, texts: tuple[str, ...] = ("hi",)) -> Any:
    """What a machine says to some texts, and the requests that the server saw."""

    async def main() -> Any:
        async with Server(reply) as server:
            machine: Any = (
                OpenAIDialog("m", base_url=server.url, api_key="k", system="Be kind.")
                if streams
                else HttpDialog(f"{server.url}/turn", headers={"x-key": "1"}, timeout=0.5)
            )
            assert isinstance(machine, DialogMachine)
            try:
                return [await said(machine, text) for text in texts], server.seen, machine
            finally:
                await machine.aclose()

    return asyncio.run(main())


@pytest.mark.parametrize("body", [{"text": "Hello."}, {"reply": "Hello."}])
def test_an_endpoint_gets_text_and_gives_text(body: dict[str, str]) -> None:
    """JSON in, JSON or plain text out."""
    replies, seen, _ = ask(Reply(body=body, headers={"content-type": "application/json"}))
    assert replies == [["Hello."]]
    assert (seen[0].json, seen[0].headers["x-key"]) == ({"text": "hi"}, "1")


def test_plain_text_is_spoken_as_it_is_and_nothing_is_silence() -> None:
    """An empty answer is no reply."""
    assert ask(Reply(body=" Hello. ", headers={"content-type": "text/plain"}))[0] == [["Hello."]]
    assert ask(Reply(body=""))[0] == [[]]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500), Reply(status=302), Reply(is_reset=True), Reply(delay=3.0),
        Reply(body="{", headers={"content-type": "application/json"}),
        Reply(body=[1], headers={"content-type": "application/json"}),
        Reply(body="x" * 1_100_000),
    ],
    ids=["500", "redirect", "reset", "slow", "no json", "no text", "huge"],
)  # fmt: skip
def test_an_endpoint_that_fails_is_one_clear_failure(reply: Reply) -> None:
    """Whatever it does, the session hears of it as a failure of the machine."""
    with pytest.raises(ActionFailed, match="dialog endpoint"):
        ask(reply)


def test_a_model_streams_its_reply_and_remembers_the_conversation() -> None:
    """Pieces come as they are written; the second request holds the first exchange."""
    reply = Reply(body=chunks("Hel", "lo.", ""), headers=STREAM)
    replies, seen, machine = ask(reply, streams=True, texts=("hi", "again"))
    assert replies == [["Hel", "lo."]] * 2
    assert seen[0].headers["authorization"] == "Bearer k"
    assert [m["content"] for m in seen[1].json["messages"]] == ["Be kind.", "hi", "Hello.", "again"]
    assert seen[0].json["stream"] is True
    assert machine.messages[-1] == {"role": "assistant", "content": "Hello."}


@pytest.mark.parametrize(
    "odd",
    [
        "data: not json\n\n",
        "data: {}\n\n",
        ": comment\n\n",
        "event: ping\ndata: 1\n\n",
        'data: {"choices": []}\n\n',
    ],
)
def test_chunks_of_other_forms_are_passed_over(odd: str) -> None:
    """Servers differ in what they send beside the text."""
    body = odd + chunks("Hi.")
    assert ask(Reply(body=body, headers=STREAM), streams=True)[0] == [["Hi."]]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=401),
        Reply(body="hello", headers={"content-type": "text/html"}),
        Reply(is_reset=True),
    ],
    ids=["401", "html", "reset"],
)
def test_a_model_that_fails_is_one_clear_failure(reply: Reply) -> None:
    """Refused, no stream, or gone."""
    with pytest.raises(ActionFailed, match=r"model's|dialog endpoint"):
        ask(reply, streams=True)


def test_a_reply_that_was_cut_short_is_remembered_as_far_as_it_came() -> None:
    """A barge-in closes the stream; the model should know what was said."""

    async def main() -> Any:
        async with Server(Reply(body=chunks("One ", "two ", "three"), headers=STREAM)) as server:
            machine = OpenAIDialog("m", base_url=server.url)
            stream = machine.stream("count")
            async for _ in stream:
                break
            await stream.aclose()  # type: ignore[attr-defined]
            await machine.aclose()
            return machine.messages

    assert asyncio.run(main())[-1] == {"role": "assistant", "content": "One "}


def test_notes_go_along_with_the_next_words() -> None:
    """`inject` reaches the machine through `assist`."""

    async def main() -> Any:
        async with Server(Reply(body="ok")) as server:
            machine = HttpDialog(server.url)
            machine.assist("be brief")
            await said(machine, "hi")
            await said(machine, "hi")
            await machine.aclose()
            return [request.json for request in server.seen]

    assert asyncio.run(main()) == [{"text": "hi", "notes": ["be brief"]}, {"text": "hi"}]


def test_a_machine_that_fails_does_not_end_the_call(caplog: pytest.LogCaptureFixture) -> None:
    """The session reports an error event, the log names the call, and the next turn is answered."""
    from orchestrator import AgentRunner
    from orchestrator.runtimes.script_bridge import ScriptBridge
    from tests.kit import script

    class Flaky:
        def __init__(self) -> None:
            self.turns = 0

        async def stream(self, text: str) -> Any:
            self.turns += 1
            if self.turns == 1:
                raise ActionFailed("the dialog endpoint is away")
            yield "Here I am."

    heard: list[str] = []

    async def entrypoint(ctx: Any) -> None:
        ctx.session.dialog_machine = Flaky()

        @ctx.session.on("agent_turn")
        async def agent(text: str) -> None:
            heard.append(text)

        @ctx.session.on("error")
        async def failed(code: str, message: str, severity: str, source: str) -> None:
            heard.append(f"{severity}: {message}")

        await ctx.session.run()

    events = [{"t": 1, "user_turn": "a"}, {"t": 2, "user_turn": "b"}, {"t": 3, "hangup": ""}]
    run_virtual(AgentRunner(entrypoint).handle(ScriptBridge(script(events))))
    assert heard == ["error: the dialog endpoint is away", "Here I am."]
    (line,) = [r for r in caplog.records if r.message == "dialog machine failed"]
    assert vars(line)["call_id"]


def test_an_answer_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for the whole answer, not for each read."""
    with pytest.raises(ActionFailed, match=r"no text for 0\.5 s"):
        ask(Reply(body="a" * 100, headers={"content-type": "text/plain"}, drip=0.1))


@pytest.mark.parametrize("kind", ["text/html", "image/png"])
def test_what_is_no_text_is_not_spoken(kind: str) -> None:
    """A page of a proxy, for one."""
    with pytest.raises(ActionFailed, match=f"answered '{kind}', not text"):
        ask(Reply(body="<html>hi</html>", headers={"content-type": f"{kind}; charset=utf-8"}))


@pytest.mark.parametrize("streams", [False, True], ids=["http", "model"])
def test_a_huge_answer_is_not_read_to_its_end(*, streams: bool) -> None:
    """Reading stops at the bound, also within one line of a stream."""
    kind = STREAM if streams else {"content-type": "text/plain"}

    async def main() -> int:
        got = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal got
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 200 X\r\ncontent-type: {kind['content-type']}\r\n\r\n".encode())
            try:
                for _ in range(300):
                    writer.write(b"a" * 1_000_000)
                    await writer.drain()
                    got += 1
            except ConnectionError:
                pass
            finally:
                writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            machine: Any = OpenAIDialog("m", base_url=url) if streams else HttpDialog(url)
            with pytest.raises(ActionFailed, match="over 1,000,000 bytes"):
                await said(machine, "hi")
            await machine.aclose()
        return got

    assert asyncio.run(main()) < 100


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (chunks("half ", end=""), "broke off"),
        (chunks("half ", end='data: {"error": {"message": "sk-1", "code": 529}}\n\n'), ": 529"),
        (chunks(end='data: {"error": "no"}\n\n'), "reported an error"),
    ],
    ids=["cut", "error", "error at once"],
)
def test_a_stream_that_does_not_end_well_is_a_failure(body: str, why: str) -> None:
    """What came before it was spoken; then the session hears of the failure."""
    with pytest.raises(ActionFailed, match=why) as caught:
        ask(Reply(body=body, headers=STREAM), streams=True)
    assert "sk-1" not in str(caught.value)


def test_a_finish_reason_ends_a_stream_too() -> None:
    """Not every server sends `[DONE]`."""
    end = 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
    assert ask(Reply(body=chunks("Hi.", end=end), headers=STREAM), streams=True)[0] == [["Hi."]]


def test_comments_that_keep_a_stream_open_are_no_text() -> None:
    """A model that never answers is given up though its server is talkative."""

    async def main() -> None:
        async with Server(Reply(body=": still here\n\n" * 30, headers=STREAM, drip=0.01)) as server:
            machine = OpenAIDialog("m", base_url=server.url, timeout=0.5)
            with pytest.raises(ActionFailed, match=r"no text for 0\.5 s"):
                await said(machine, "hi")
            await machine.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("streams", [False, True], ids=["http", "model"])
def test_half_a_character_does_not_poison_a_conversation(*, streams: bool) -> None:
    """It is sent as a mark, this turn and the next ones."""
    reply = Reply(body=chunks("Hi.") if streams else {"text": "Hi."},
                  headers=STREAM if streams else {})  # fmt: skip
    replies, seen, _ = ask(reply, streams=streams, texts=("\ud800 x", "again"))
    assert replies == [["Hi."]] * 2
    sent = seen[0].json["messages"][-1]["content"] if streams else seen[0].json["text"]
    assert sent == "\ufffd x"


def test_the_endpoint_is_told_which_call_it_is() -> None:
    """Beside the words, in each request."""

    async def main() -> Any:
        async with Server(Reply(body="ok")) as server:
            machine = HttpDialog(server.url, call={"id": "CA1"})
            await said(machine, "hi")
            await machine.aclose()
            return server.seen[0].json

    assert asyncio.run(main()) == {"text": "hi", "call": {"id": "CA1"}}


@pytest.mark.parametrize("streams", [False, True])
def test_no_proxy_of_the_environment_sees_the_words(
    *, streams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the key: what is asked goes to the endpoint that was named."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    reply = (
        Reply(body=chunks("Hello."), headers=STREAM)
        if streams
        else Reply(body={"text": "Hello."}, headers={"content-type": "application/json"})
    )
    assert ask(reply, streams=streams)[0] == [["Hello."]]
