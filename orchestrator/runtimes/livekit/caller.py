"""The caller in a LiveKit room: who it is, what it types on the keypad, and when it is gone."""

from __future__ import annotations

import asyncio
from typing import Any

from orchestrator.errors import CommandRefused
from orchestrator.runtimes.callbacks import CallbackBridge
from orchestrator.runtimes.livekit.events import metadata_of, sip_facts

__all__ = ["Caller"]

#: Kinds of participants (LiveKit's numbers) that are not a caller: ingress, egress, agent.
_NOT_CALLERS = frozenset({1, 2, 4})
_SIP = 3
#: Reasons of a disconnect (LiveKit's numbers) after which nobody comes back: the client left, was
#: removed, the room is gone, the call was not answered, refused, or ended by its trunk.
_FOR_GOOD = frozenset({1, 4, 5, 10, 11, 12, 13})


class Caller:
    """Watches a room for its caller: the first participant that is no agent, egress or ingress."""

    def __init__(self, job: Any, line: CallbackBridge) -> None:
        self._job = job
        self._line = line
        self._room = job.room if job is not None else None
        self._participant: Any = None
        self._seen = asyncio.Event()
        self._rejoin: asyncio.TimerHandle | None = None
        if self._room is None:
            return
        self._listeners = {
            "participant_connected": line.guarded(self._on_connected),
            "participant_disconnected": line.guarded(self._on_disconnected),
            "sip_dtmf_received": line.guarded(self._on_key),
        }
        for event, listener in self._listeners.items():
            self._room.on(event, listener)
        for participant in list(self._room.remote_participants.values()):
            self._on_connected(participant)

    def identity(self) -> str:
        """Whom a transfer moves.

        Raises:
            CommandRefused: there is nobody, or somebody who did not come by phone.
        """
        if self._job is None or self._job.is_fake_job():
            raise CommandRefused("this call has no room; LiveKit would do nothing and report none")
        if self._participant is None or self._participant.kind != _SIP:
            raise CommandRefused("the caller did not come by phone, so there is no transfer")
        return str(self._participant.identity)

    async def facts(self) -> dict[str, Any]:
        """The call as fields of its offer, once the caller is there or was waited for."""
        job = self._job
        if job is None:
            return {}
        if not job.is_fake_job():
            await self._wait_for_caller()
        attributes = self._participant.attributes if self._participant is not None else {}
        facts = {**sip_facts(attributes)}
        data = metadata_of(job)
        if called := facts.get("called_number", ""):
            data.setdefault("called_number", called)
        return {
            "call_id": _call_id(job),
            "session_id": str(job.room.name or ""),
            "agent_id": str(job.job.agent_name or ""),
            "data": data,
            **facts,
        }

    async def _wait_for_caller(self) -> None:
        """Somebody is there, or the session is over before anybody came, or it takes too long."""
        loop = asyncio.get_running_loop()
        tasks = {loop.create_task(self._seen.wait()), loop.create_task(self._line.over.wait())}
        try:
            await asyncio.wait(
                tasks, timeout=self._line.waits.caller, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in tasks:
                task.cancel()

    def close(self) -> None:
        """Watch no more; the room may be that of another call yet."""
        if self._rejoin is not None:
            self._rejoin.cancel()
        if self._room is not None:
            for event, listener in self._listeners.items():
                self._room.off(event, listener)

    # --- what the room reports

    def _on_connected(self, participant: Any) -> None:
        if participant.kind in _NOT_CALLERS:
            return
        if self._participant is None:
            self._participant = participant
            self._seen.set()
        elif participant.identity == self._participant.identity:
            self._participant = participant
            if self._rejoin is not None:
                self._rejoin.cancel()
                self._rejoin = None
                self._line.note("the caller's connection was made again")

    def _on_disconnected(self, participant: Any) -> None:
        if self._participant is None or participant.identity != self._participant.identity:
            return
        reason = participant.disconnect_reason or 0
        if reason in _FOR_GOOD:
            self._line.hang_up("the caller left")
            return
        loop = asyncio.get_running_loop()
        self._line.note("the caller's connection broke", reason=int(reason))
        self._rejoin = loop.call_later(
            self._line.waits.rejoin, self._line.hang_up, "the caller did not come back"
        )

    def _on_key(self, event: Any) -> None:
        sender = event.participant
        is_caller = sender is None or (
            self._participant is not None and sender.identity == self._participant.identity
        )
        digit = str(event.digit).upper()
        if is_caller and len(digit) == 1 and digit in "0123456789*#ABCD":
            self._line.put("dtmf", digit=digit)


def _call_id(job: Any) -> str:
    """The same when the call is dispatched again, another when the room's name is used again."""
    return str(getattr(job.job.room, "sid", "") or job.job.id)
