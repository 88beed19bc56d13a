"""LiveKit Agents as a runtime: one `AgentSession`, in one job, per call.

::

    @server.rtc_session(on_session_end=wrap_on_session_end())
    async def entrypoint(ctx: JobContext):
        session = AgentSession(...)
        orchestrator.attach(LiveKit(session, ctx))
        await session.start(agent=Assistant(), room=ctx.room)

Extra `livekit`; nothing of LiveKit is imported before a call needs it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

from orchestrator.errors import UserError
from orchestrator.runtimes.attached import AttachedCall
from orchestrator.runtimes.callbacks import HostLike, Waits
from orchestrator.runtimes.livekit.bridge import LIVEKIT_CAPABILITIES, LiveKitBridge
from orchestrator.runtimes.livekit.controls import Agents

__all__ = ["LIVEKIT_CAPABILITIES", "LiveKit", "wrap_on_session_end"]

logger = logging.getLogger(__name__)

#: Seconds that deleting the room may take.
_DELETE = 3.0

_calls: WeakKeyDictionary[Any, list[LiveKit]] = WeakKeyDictionary()


class LiveKit(AttachedCall):
    """One call on LiveKit, for `Orchestrator.attach`; make it before `session.start`.

    Args:
        session: the `AgentSession`.
        job: the `JobContext`; without one there is no room, hence no transfer to a number and no
            keys, and the hooks of the end are not protected when the process ends.
        agents: who can be handed over to, by the name that `agent_id` has in the config: what
            makes the agent, its class for example.
        closes: the process ends with the job, so that the `Orchestrator` is closed with it; by
            default what the job's executor says.
        waits: how long what is waited for.
        known: fields of the call that you know better: `call_id`, `session_id`, `agent_id`,
            `direction`, `user_number`, `called_number`, `data`. The rest comes from the job and
            from the caller's SIP attributes.

    Raises:
        UserError: the session runs already: its start, and the caller's first words, are missed.
    """

    runtime_name = "livekit"

    def __init__(
        self,
        session: Any,
        job: Any = None,
        *,
        agents: Agents | None = None,
        closes: bool | None = None,
        waits: Waits | None = None,
        **known: Any,
    ) -> None:
        if getattr(session, "agent_state", "initializing") != "initializing":
            raise UserError("this session runs already: attach the hooks before `session.start`")
        self._line = LiveKitBridge(session, job, known, agents=agents or {}, waits=waits or Waits())
        super().__init__(self._line, session)
        self._job = job
        self._closes = _owns_process(job) if closes is None else closes

    def attached(self, host: HostLike) -> None:
        """Begin, and see to it that the end is told when the job ends."""
        super().attached(host)
        if self._job is None:
            return
        _calls.setdefault(self._job, []).append(self)

        async def hooks_of_the_end(reason: str) -> None:
            await self._shut_down(reason)

        self._job.add_shutdown_callback(hooks_of_the_end)

    async def session_ended(self) -> None:
        """The session is closed: end the call, and let its last hooks take their time."""
        self._line.job_ends("the session was closed")
        await self.finish(self._line.waits.session_end)

    async def _shut_down(self, reason: str) -> None:
        """The job's last word; LiveKit gives it about 10 s, and drops all others if it raises."""
        try:
            self._line.job_ends(reason)
            deleting = asyncio.ensure_future(self._delete_room())
            is_last = all(call.is_over for call in _calls[self._job] if call is not self)
            await self.finish(self._line.waits.finish, closes=self._closes and is_last)
            await asyncio.wait({deleting}, timeout=_DELETE)
        except Exception:
            logger.exception("the end of a call failed")

    async def _delete_room(self) -> None:
        if self._line.controls.deletes_room:
            try:
                await self._job.delete_room()
            except Exception:  # also when the server is gone
                logger.exception("the room was not deleted")


def _owns_process(job: Any) -> bool:
    """Whether the process ends with this job."""
    kind = getattr(getattr(job, "proc", None), "executor_type", None)
    return getattr(kind, "name", "") == "PROCESS"


def wrap_on_session_end(
    then: Callable[[Any], Awaitable[None]] | None = None,
) -> Callable[[Any], Awaitable[None]]:
    """What to give to `rtc_session(on_session_end=...)`; `then` is your own, called afterwards.

    LiveKit gives this slot 300 s and runs it before shutdown callbacks, which have 10: hooks of the
    end get their time here even while a deployment shuts the worker down.
    """

    return _SessionEnd(then)


class _SessionEnd:
    """An object, not a closure: LiveKit pickles it for the job's process."""

    def __init__(self, then: Callable[[Any], Awaitable[None]] | None) -> None:
        self._then = then

    async def __call__(self, job: Any) -> None:
        for call in _calls.get(job, ()):
            await call.session_ended()
        if self._then is not None:
            await self._then(job)
