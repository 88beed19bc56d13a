"""One call of a foreign runtime: a bridge fed by callbacks, carried by our own runner."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Orchestrator
from orchestrator.clock import run_virtual
from orchestrator.errors import CommandRefused, LineGone
from orchestrator.journal import encode
from orchestrator.runtime import CallOffer, Command, End, Say
from orchestrator.runtimes.attached import AttachedCall, NeverStarted
from orchestrator.runtimes.callbacks import CallbackBridge, Waits


class Far(CallbackBridge):
    """A far side that writes down what it is asked."""

    def __init__(self, **waits: float) -> None:
        super().__init__(CallOffer("call"), frozenset({"say", "end"}), Waits(**waits))
        self.asked: list[Command] = []

    async def act(self, command: Command) -> None:
        if isinstance(command, Say) and command.text == "no":
            raise RuntimeError("not now")
        self.asked.append(command)


class Host:
    """A host that writes down what it is asked."""

    def __init__(self) -> None:
        self.closed = 0

    async def settle(self) -> None: ...

    async def aclose(self) -> None:
        self.closed += 1

    def has_hooks(self, event: str) -> bool:
        return False


def begun(far: Far) -> tuple[AttachedCall, list[Any]]:
    """A call with handlers that write down what they saw."""
    call, seen = AttachedCall(far, far), []

    async def starts(ctx: Any) -> None:
        seen.append("start")

        @ctx.session.on("user_turn")
        async def hears(text: str) -> None:
            seen.append(text)

        @ctx.session.on("call_end")
        async def ends(state: str) -> None:
            seen.append(state)

    async def over(ctx: Any, final_state: str) -> None:
        seen.append(final_state)

    call.on("call_start")(starts)
    call.on("call_end")(over)
    call.attached(Host())
    return call, seen


def test_events_come_in_order_and_the_end_once() -> None:
    """Whoever tells of the end first."""

    async def main() -> None:
        far = Far()
        call, seen = begun(far)
        far.report_words("one")
        far.ready()
        far.report_words("two")
        far.hang_up("gone")
        far.hang_up("again", "shutdown")
        far.put("user_turn", text="too late")
        assert await call.finished(5)
        assert seen == ["start", "one", "two", "hangup", "ended"]

    run_virtual(main())


def test_an_end_of_another_kind_is_told_as_such() -> None:
    """By the state that comes with the `hangup`."""

    async def main() -> None:
        far = Far()
        call, seen = begun(far)
        far.ready()
        far.hang_up("the agent was done", "ended")
        assert await call.finished(5)
        assert seen == ["start", "ended", "ended"]

    run_virtual(main())


def test_words_are_waited_for_until_their_hooks_ran_or_the_hold_is_over() -> None:
    """And one who waits is let go when the line is gone."""

    async def main() -> None:
        far = Far(hold=1.0)
        call = AttachedCall(far, far)

        async def starts(ctx: Any) -> None:
            @ctx.session.on("user_turn")
            async def slow(text: str) -> None:
                await asyncio.sleep(float(text))

        call.on("call_start")(starts)
        call.attached(Host())
        far.ready()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await far.heard("0.5")
        assert loop.time() - began == pytest.approx(0.5)
        await far.heard("3")
        assert loop.time() - began == pytest.approx(1.5)
        assert far.is_holding
        waiting = asyncio.create_task(far.heard("9"))
        await asyncio.sleep(0.1)
        far.hang_up("gone")
        await waiting
        assert loop.time() - began == pytest.approx(1.6)
        assert await call.finished(30)

    run_virtual(main())


@pytest.mark.parametrize("has_failed", [True, False])
def test_a_session_that_never_ran_has_no_session_events(has_failed: bool) -> None:
    """The call failed if the far side broke down, and ended if the caller left before."""

    async def main() -> None:
        far = Far()
        call, seen = begun(far)
        if has_failed:
            far.fail({"code": "E", "message": "m", "source": "s"})
        else:
            far.hang_up("gone")
        assert await call.finished(5)
        assert seen == ["start", "failed" if has_failed else "ended"]
        assert call.ctx is not None
        assert isinstance(call.ctx.error, NeverStarted) == has_failed

    run_virtual(main())


def test_a_listener_never_raises_and_tells_what_came() -> None:
    """Remarks from before there is a journal are kept for it."""
    notes: list[Any] = []

    async def main() -> None:
        far = Far()

        def listener(report: Any) -> None:
            far.put("user_turn", text=report.text)

        far.guarded(listener)(object())
        far.guarded(listener)()
        far.take_notes(lambda text, **details: notes.append((text, details["report"])))
        far.guarded(listener)("text")

    run_virtual(main())
    assert notes == [("a report was passed over", name) for name in ("object", "", "str")]


def test_what_a_runtime_raises_is_its_way_to_refuse() -> None:
    """And nothing goes out when the line is gone."""

    async def main() -> None:
        far = Far()
        await far.send(Say("yes"))
        with pytest.raises(CommandRefused, match="RuntimeError: not now"):
            await far.send(Say("no"))
        far.hang_up("gone")
        with pytest.raises(LineGone):
            await far.send(End())
        assert far.asked == [Say("yes")]

    run_virtual(main())


def test_the_hooks_of_the_end_are_cut_in_time() -> None:
    """So that the journal is written before the process is gone; the host is closed with it."""

    async def main() -> None:
        far = Far()
        call = AttachedCall(far, far)

        async def hangs(ctx: Any, final_state: str) -> None:
            await asyncio.Event().wait()

        hangs.keeps_deadline = True  # type: ignore[attr-defined]
        call.on("call_end")(hangs)
        host = Host()
        call.attached(host)
        far.ready()
        far.hang_up("gone")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await call.finish(8.0, closes=True)
        assert loop.time() - began < 8.0
        assert call.is_over
        assert host.closed == 1

    run_virtual(main())


# --- the end of the orchestrator


HOOKS = """
version: 1
runner: {call_start: [{log: began}], call_end: [{log: over}]}
session: {call_start: [{log: live}], call_end: [{log: ended}]}
"""


class Kept:
    """A sink that knows what came after it was closed."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.late = 0
        self.is_closed = False

    def put(self, call_id: str, records: Any, redactor: Any, began: float) -> None:
        self.late += self.is_closed
        self.lines += encode(records, redactor, began)

    def close(self) -> None:
        self.is_closed = True

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if kind in line]


@pytest.mark.parametrize(
    ("is_ready", "session", "final"), [(True, ["shutdown"], "ended"), (False, [], "failed")]
)
def test_a_call_that_is_on_is_ended_before_the_journals_close(
    is_ready: bool, session: list[str], final: str, tmp_path: Path
) -> None:
    """Also one that its runtime was never asked to begin: one end, in the journal."""
    (tmp_path / "hooks.yaml").write_text(HOOKS)

    async def main() -> Kept:
        kept = Kept()
        orchestrator = Orchestrator.from_file(tmp_path / "hooks.yaml", variables={}, journals=kept)
        far = Far()
        call = AttachedCall(far, far)
        orchestrator.attach(call)
        if is_ready:
            far.ready()
        await asyncio.sleep(0.1)
        await orchestrator.aclose()
        assert call.is_over
        await orchestrator.aclose()
        return kept

    kept = run_virtual(main())
    ends = [line for line in kept.of("runner") if line["runner"] == "call_end"]
    assert [line["final_state"] for line in ends] == [final]
    assert [line["state"] for line in kept.of("session") if "state" in line] == session
    assert [line["hook"] for line in kept.of("hook")][-1] == "call_end[0] log"
    assert (len(kept.of("end")), kept.late) == (1, 0)


def test_what_carried_a_call_is_let_go_with_it(tmp_path: Path) -> None:
    """A process carries calls for months: none of them is kept, and its carrier may come again."""
    (tmp_path / "hooks.yaml").write_text(HOOKS)

    async def main() -> None:
        orchestrator = Orchestrator.from_file(tmp_path / "hooks.yaml", variables={})
        fars = [Far(), Far()]
        for far in (*fars, fars[0]):
            call = AttachedCall(far, far)
            orchestrator.attach(call)
            far.hang_up("gone")
            assert await call.finished(5)
        first = weakref.ref(fars.pop())
        del far, call
        orchestrator.attach(last := AttachedCall(Far(), Far()))
        gc.collect()
        assert first() is None
        await orchestrator.aclose()
        assert last.is_over

    run_virtual(main())
