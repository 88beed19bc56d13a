"""What `--dialog` names: who makes machines, what they are told, and who closes them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from orchestrator.cli.dialogs import dialogs_named
from orchestrator.dialog import Dialogs
from orchestrator.errors import EnvironmentFailure
from orchestrator.runtimes.native import AgentRunner
from orchestrator.runtimes.script_bridge import ScriptBridge
from tests.cli import run_process
from tests.kit import script
from tests.serve_process import Serve
from tests.servers import Reply, Server

GREETS = 'version: 1\nsession: {call_start: [{say: "hello"}]}\n'
MACHINES = """
import pathlib

class Machine:
    def __init__(self, name="nobody"):
        self.name, self.is_closed = name, False

    async def stream(self, text):
        if self.is_closed:
            raise RuntimeError("closed")
        yield f"I am {self.name}"

    async def aclose(self):
        self.is_closed = True
        with pathlib.Path("closed.txt").open("a") as file:
            file.write(f"{self.name}\\n")

shared = Machine("shared")

def of_call(ctx):
    return Machine(f"of {ctx.call_id}")

class Boom:
    def __init__(self):
        raise RuntimeError("no config")

    async def stream(self, text):
        yield "x"

def boom(ctx):
    raise RuntimeError(f"no config for {ctx.direction}")

def two(a, b):
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "machines.py").write_text(MACHINES)
    (tmp_path / "line.yaml").write_text(GREETS)
    return tmp_path


def closed(folder: Path) -> list[str]:
    file = folder / "closed.txt"
    return file.read_text().split("\n")[:-1] if file.exists() else []


def test_what_calls_share_is_closed_once_and_last(folder: Path) -> None:
    """The end of one call leaves the others their machine."""

    async def main() -> None:
        async with Serve(folder, GREETS, "--dialog", "machines:shared") as serve:
            first, second = await serve.network.ring("CA1"), await serve.network.ring("CA2")
            await first.until_heard("hello")
            await first.hang_up()
            await second.until_heard("hello")
            await second.say("still there?")
            await second.until_heard("I am shared")
            await second.hang_up()
            assert closed(folder) == []
            serve.signal()
            assert await serve.ends() == 0
            assert closed(folder) == ["shared"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "of"), [("of_call", "of CA1"), ("Machine", "nobody")], ids=["function", "class"]
)
def test_what_is_made_for_a_call_is_closed_with_it(folder: Path, name: str, of: str) -> None:
    """A factory with one parameter is given the call; a class without one is tried out before."""

    async def main() -> None:
        async with Serve(folder, GREETS, "--dialog", f"machines:{name}") as serve:
            call = await serve.network.ring("CA1")
            await call.until_heard("hello")
            await call.say("hi")
            await call.until_heard(f"I am {of}")
            await call.hang_up()
            async with asyncio.timeout(8):
                while not closed(folder):  # noqa: ASYNC110 - another process writes it
                    await asyncio.sleep(0.02)
            serve.signal()
            assert await serve.ends() == 0
            assert closed(folder) == [of]

    asyncio.run(main())


@pytest.mark.parametrize("command", ["serve", "console"])
def test_a_class_that_cannot_be_made_is_found_at_the_start(folder: Path, command: str) -> None:
    """One line that names it, before any call."""
    more = ["--port", "0", "--insecure-no-signatures"] if command == "serve" else []
    ran = run_process(command, "line.yaml", "--dialog", "machines:Boom", *more, cwd=folder, text="")
    assert ran.returncode == 3
    assert "machines:Boom cannot be made: RuntimeError: no config" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_call_whose_machine_cannot_be_made_goes_on(folder: Path) -> None:
    """Its hooks run, each turn is an error, and one log line names machine and call."""

    async def main() -> None:
        hooks = GREETS.replace('"hello"}]', '"hello"}], error: [{say: sorry}]')
        async with Serve(folder, hooks, "--dialog", "machines:boom") as serve:
            call = await serve.network.ring("CA1")
            await call.until_heard("hello")
            await call.say("hi")
            await call.until_heard("sorry")
            await call.hang_up()
            serve.signal()
            assert await serve.ends() == 0
            (line,) = [text for text in serve.log if "a call has no dialog machine" in text]
            assert "call_id=CA1" in line
            assert "machines:boom cannot be made: RuntimeError: no config for inbound" in line

    asyncio.run(main())


def test_factories_with_more_parameters_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cannot be given what they need."""
    ran = run_process("console", "line.yaml", "--dialog", "machines:two", cwd=folder, text="")
    assert "needs 2 arguments" in ran.stderr


KINDS = """
import asyncio, functools

async def plain(text):
    return f"said {text}"

async def pieces(text):
    yield "said "
    yield text

def wrapped(function):
    @functools.wraps(function)
    def call(*args, **named):
        return function(*args, **named)
    return call

def hidden(function):
    return lambda *args, **named: function(*args, **named)

class Bot:
    async def answer(self, text):
        return await plain(text)
    async def __call__(self, text):
        return await plain(text)

class Machine:
    def __init__(self, ctx=None):
        self.ctx = ctx
    async def stream(self, text):
        yield f"said {text}"

async def two(prefix, text):
    return f"{prefix} {text}"

retried, retried_pieces, traced = wrapped(plain), wrapped(pieces), wrapped(wrapped(plain))
bare, bare_pieces = hidden(plain), hidden(pieces)
short = lambda text: plain(text)
other = lambda words: plain(words)
other_pieces = lambda words: pieces(words)
def task(text: str):
    return asyncio.ensure_future(plain(text.lower()))
def soon(words):
    return asyncio.ensure_future(plain(words))
part, nested = functools.partial(two, "said"), functools.partial(wrapped(two), "said")
bot, bound = Bot(), Bot().answer
async def named(text, *, language=None):
    return f"said {text}"
def makes(ctx):
    return Machine(ctx)
def made():
    return Machine()
makes_wrapped, makes_hidden, made_hidden = wrapped(makes), hidden(makes), hidden(made)

class Told:
    async def stream(self, text, language):
        yield "x"
told = Told()

async def needs_two(text, ctx):
    return "x"
async def needs_none():
    return "x"
async def needs_named(text, *, language):
    return "x"
async def makes_async(ctx):
    return Machine(ctx)
def generator(text):
    yield "x"
def blocking(text: str) -> str:
    return "x"
def makes_named(ctx, *, key):
    return Machine(ctx)
class InInit:
    def __init__(self):
        self.stream = self._reply
    async def _reply(self, text):
        yield f"said {text}"
class Another:
    def __new__(cls):
        return Machine()
class Partly(InInit):
    def __init__(self): ...
    async def _named(self, name, text):
        yield f"{name} {text}"
    stream = functools.partialmethod(_named, "said")
class NoStream:
    def __init__(self, ctx): ...
class Plain:
    def __init__(self, ctx): ...
    def stream(self, text):
        yield "x"
class Returns(NoStream):
    async def stream(self, text):
        return "x"
class NoWords(NoStream):
    async def stream(self):
        yield "x"
returns, plain_machine = Returns(1), Plain(1)
def makes_bad():
    return Returns(1)
"""


@pytest.fixture
def kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    module = f"kinds_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(KINDS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return module


@pytest.mark.parametrize(
    "name",
    ["plain", "pieces", "retried", "retried_pieces", "traced", "bare", "bare_pieces", "short",
     "other", "other_pieces", "task", "soon", "part", "nested", "bot", "bound", "named", "Machine",
     "makes", "made", "makes_wrapped", "makes_hidden", "made_hidden", "InInit", "Another", "Partly"],
)  # fmt: skip
def test_any_async_callable_and_any_factory_answers(kinds: str, name: str) -> None:
    """However it is wrapped, bound, curried or written; on each of two calls."""
    said: list[str] = []

    class Session:
        dialog_machine: Any = None

        async def run(self) -> None:
            said.append("".join([piece async for piece in self.dialog_machine.stream("hi")]))

    async def main() -> None:
        dialogs = dialogs_named(f"{kinds}:{name}")
        dialogs.prepare()
        for call in ("CA1", "CA2"):
            ctx: Any = SimpleNamespace(session=Session(), call_id=call)
            await dialogs.carry(ctx)

    asyncio.run(main())
    assert said == ["said hi"] * 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("needs_two", "caller's words alone: missing a required argument: 'ctx'"),
        ("needs_none", "caller's words alone: too many"),
        ("needs_named", "'language'"),
        ("makes_async", "what makes machines is not async"),
        ("generator", "generator that is not async"),
        ("blocking", "would hold up every call"),
        ("makes_named", "call's context alone: missing a required.*'key'"),
        ("NoStream", "no `stream"),
        ("Plain", "generator that is not async"),
        ("Returns", "returns where it must `yield`"),
        ("NoWords", "is given the caller's words"),
        ("returns", "returns where it must `yield`"),
        ("plain_machine", "generator that is not async"),
        ("makes_bad", "returns where it must `yield`"),
    ],
)
def test_what_can_never_answer_is_refused_before_any_call(
    kinds: str, name: str, words: str
) -> None:
    """In the operator's words, not in Python's for each turn of each call."""
    with pytest.raises((click.UsageError, EnvironmentFailure), match=words) as raised:
        dialogs_named(f"{kinds}:{name}").prepare()
    assert f"{kinds}:{name}" in str(
        raised.value.message if hasattr(raised.value, "message") else raised.value
    )


def test_a_machine_may_need_the_language(kinds: str) -> None:
    """Of a carrier that tells it with all words, it is there."""
    dialogs_named(f"{kinds}:told")
    dialogs_named(f"{kinds}:Told").prepare()


# --- what endpoints are told


def one_turn(dialogs: Dialogs, **offer: Any) -> None:
    """One call with one turn."""

    async def main() -> None:
        dialogs.prepare()
        bridge = ScriptBridge(script([{"t": 0.01, "user_turn": "hi"}, {"t": 0.5, "hangup": ""}]))
        for name, value in offer.items():
            object.__setattr__(bridge.offer, name, value)
        await AgentRunner(dialogs.carry).handle(bridge)
        await dialogs.aclose()

    asyncio.run(main())


def test_an_endpoint_is_told_the_call_and_no_number() -> None:
    """Its ids and direction tell calls apart."""

    async def main() -> Any:
        async with Server(Reply(body="ok")) as server:
            dialogs = dialogs_named(server.url)
            await asyncio.to_thread(one_turn, dialogs, call_id="CA1", user_number="+15550100")
            return server.seen[0].json

    sent = asyncio.run(main())
    assert sent["call"]["id"] == "CA1"
    assert set(sent["call"]) == {"id", "session_id", "direction"}


def test_a_model_has_instructions_from_a_file_and_of_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One system prompt: what holds for all calls first."""
    (tmp_path / "prompt.txt").write_text("Be kind.\n")

    async def main() -> Any:
        body = "data: " + json.dumps({"choices": [{"delta": {"content": "Hi."}}]})
        reply = Reply(body=f"{body}\n\ndata: [DONE]\n\n",
                      headers={"content-type": "text/event-stream"})  # fmt: skip
        async with Server(reply) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
            dialogs = dialogs_named("openai:m", tmp_path / "prompt.txt")
            await asyncio.to_thread(one_turn, dialogs, instructions="She is called Ada.")
            return server.seen[0].json

    first, *_ = asyncio.run(main())["messages"]
    assert first == {"role": "system", "content": "Be kind.\n\nShe is called Ada."}


def test_instructions_are_for_models(tmp_path: Path) -> None:
    """With anything else they would be lost without a word."""
    with pytest.raises(click.UsageError, match="for openai:MODEL"):
        dialogs_named("echo", tmp_path / "prompt.txt")
