"""The composition root: a config file becomes hooks on a runner.

::

    orchestrator = Orchestrator.from_file("support-line.yaml")
    orchestrator.attach(runner)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from orchestrator.action import Delivery
from orchestrator.attachment import Attachment
from orchestrator.clock import Clock, VirtualLoop, real_clock, virtual_clock
from orchestrator.compiler import compile_config
from orchestrator.config import Config
from orchestrator.errors import EnvironmentFailure, StoreFailed, UserError
from orchestrator.journal import DirectorySink, NoSink, Sink
from orchestrator.memory import Memory
from orchestrator.memory.choice import open_memory
from orchestrator.outbox import Outbox
from orchestrator.outbox.choice import Choice
from orchestrator.outbox.store import OutboxStore
from orchestrator.plan import Plan
from orchestrator.runtime import RunnerLike
from orchestrator.runtimes.unpod import adapt, guard
from orchestrator.services import GivenLike, Services
from orchestrator.threads import Lanes
from orchestrator.validation import load_config

__all__ = ["Orchestrator"]

_log = logging.getLogger("orchestrator")


class Orchestrator:
    """A config bound to an environment, ready to be attached to runners.

    Args:
        config: a checked config, of `load_config` or `check_text`.
        variables: the environment; the process's own by default.
        journals: a directory for one journal file a call; without it none is written. The
            environment variable `ORCHESTRATOR_JOURNAL_DAYS` says for how long they are kept.
        memory: the cross-call memory, or what keeps it: a SQLite file, `nats://...`, `memory:`. By
            default what the process's environment says in ORCHESTRATOR_MEMORY, else a file of this
            user; it is opened when a config that uses it is attached.
        given: answers of outside systems, for tests.
        outbox: where deliveries are kept: a SQLite file, `nats://...`, `memory:`, or a store of
            your own. By default what the process's environment says in ORCHESTRATOR_OUTBOX, else a
            file of this user.

    Raises:
        ConfigError: an environment variable is missing or does not fit.
    """

    def __init__(
        self,
        config: Config,
        *,
        variables: Mapping[str, str] | None = None,
        journals: str | Path | Sink | None = None,
        memory: Memory | str | Path | None = None,
        given: GivenLike | None = None,
        outbox: str | Path | OutboxStore | None = None,
    ) -> None:
        self._variables = os.environ if variables is None else variables
        self.config = config
        self.plan: Plan = compile_config(config, self._variables)
        self._memory = memory if isinstance(memory, Memory) else None
        self._memory_setting = None if isinstance(memory, Memory) else memory
        self._given = given
        self._sink = _make_sink(journals, self._variables)
        self._choice = Choice(outbox, os.environ)
        self._outbox: Outbox | None = None
        self._services: Services | None = None
        self._retired: list[Services] = []
        self._attachments: list[Attachment] = []
        self._attached_to: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self._owned: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self.threads = Lanes(1)

    @classmethod
    def from_file(cls, path: str | Path, **options: Any) -> Orchestrator:
        """Load a config file; `options` as for the class.

        Raises:
            ConfigError: the config has problems; carries all of them.
            EnvironmentFailure: a file cannot be read.
        """
        return cls(load_config(path), **options)

    def attach(self, runner: RunnerLike) -> Attachment:
        """Register the hooks on a runner and on each of its calls' sessions.

        Raises:
            NotSupported: the runtime cannot do what the config needs.
            EnvironmentFailure: a package that the config needs is not installed, or the memory that
                is set cannot be opened.
            UserError: these hooks are on this runner already: every hook would run twice.
        """
        target = getattr(runner, "target", runner)
        self._forget_ended()
        if target in self._attached_to:
            raise UserError("these hooks are attached already; attach them once")
        for prepare in self.plan.prepare:
            prepare()
        if self.plan.uses_memory:
            self._open_memory()
        adapted = adapt(runner)
        attachment = Attachment(self, adapted)
        self._attached_to[target] = runner
        if not getattr(adapted, "is_one_call", False):  # which keeps the plan it has
            self._attachments.append(attachment)
        attached = getattr(adapted, "attached", None)
        if attached is not None:
            attached(self)
        return attachment

    def _forget_ended(self) -> None:
        """Let go of single calls that are over; what carried them may be used again."""
        for target, runner in list(self._attached_to.items()):
            if getattr(runner, "is_over", False):
                del self._attached_to[target]

    def has_hooks(self, event: str) -> bool:
        """Whether the plan has hooks for a session event."""
        return bool(self.plan.handlers.get(("session", event)))

    #: Wraps an entrypoint of the Unpod SDK, so that a hang-up during a reply is no failure.
    guard = staticmethod(guard)

    async def reload(self) -> None:
        """Read the config file again; calls that are on keep the plan they started with.

        The reading, checking and compiling happen in a thread: calls go on meanwhile. Of several
        at once, each waits for the one before it.

        Raises:
            ConfigError, EnvironmentFailure, NotSupported: the new file is bad, or needs what an
                attached runner cannot do; nothing has changed.
        """
        async with self._reloading:
            config, plan = await self.threads.run("reload", self._read)
            before = self.plan
            self._take(config, plan)
            await self._tell_moved(before)

    def _read(self) -> tuple[Config, Plan]:
        config = load_config(self.config.file)
        plan = compile_config(config, self._variables)
        if plan.uses_memory:
            self._open_memory()
        return config, plan

    def _take(self, config: Config, plan: Plan) -> None:
        for attachment in self._attachments:
            attachment.check(plan)
        for prepare in plan.prepare:
            prepare()
        self.config, self.plan = config, plan
        if self._outbox is not None:
            self._outbox.serve(plan.name)
        if self._services is not None:
            self._retired.append(self._services)
            self._services = None

    async def _tell_moved(self, before: Plan) -> None:
        """Warn of connections in use that the new config leads elsewhere, or nowhere."""
        moved = [
            name
            for name, was in before.connections.items()
            if getattr(self.plan.connections.get(name), "address", None) != was.address
        ]
        calls, waiting = sum(len(a.calls) for a in self._attachments), 0
        if moved and self._outbox is not None:
            with contextlib.suppress(StoreFailed):
                waiting = await self._outbox.count("waiting")
        if moved and (calls or waiting):
            _log.warning(
                "connections in use are gone or lead elsewhere; what calls that are on send "
                "there goes where their config says, until this process ends",
                extra={"reason": ", ".join(moved), "count": calls + waiting},
            )

    # --- what the attachment asks of its host

    def services(self) -> Services:
        """The services, opened on the running loop at first use."""
        if self._services is None:
            clock = _clock()
            self._services = Services(
                clock,
                self._memory_on(clock),
                self.plan.connections,
                allow=self.plan.allow,
                outbox=self.outbox() if not clock.is_virtual else None,
                config=self.plan.name,
                secrecy=self.plan.secrecy(),
            )
            self._services.given = self._given
        return self._services

    def _memory_on(self, clock: Clock) -> Memory:
        if clock.is_virtual:  # nothing leaves the machine, and nothing stays on it
            self._memory = self._memory or Memory()
            self._memory.wall = lambda: clock.wall().timestamp()
            return self._memory
        return self._open_memory() if self.plan.uses_memory else self._memory or Memory()

    def _open_memory(self) -> Memory:
        """The memory, one over all reloads."""
        if self._memory is None:
            self._memory = open_memory(self._memory_setting, os.environ)
        return self._memory

    def outbox(self) -> Outbox:
        """The outbox, one over all reloads; it begins at once if something may be left in it."""
        if self._outbox is None:
            store, configs = self._choice.open(), frozenset({self.plan.name})
            self._outbox = Outbox(self._send, clock=_clock(), store=store, configs=configs)
            if self._choice.may_hold():
                self._outbox.start()
        return self._outbox

    async def _send(self, delivery: Delivery) -> Any:
        """One attempt, through the plan that serves new calls, with its credentials.

        A connection that a reload took away, or that it let lead elsewhere, and a variable that it
        no longer names, are still those of the calls that began with them: what they hand over goes
        where their config says.
        """
        now = self.services()
        kept = (s for s in (now, *reversed(self._retired)) if s.leads(delivery))
        return await next(kept, now).send(delivery)

    def sink(self) -> Sink:
        """Where journals go."""
        return self._sink

    def own(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that outlives its call; awaited by `settle` and `aclose`."""
        task = asyncio.get_running_loop().create_task(work)
        self._owned.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._owned.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("work of an ended call failed", exc_info=task.exception())

    async def settle(self) -> None:
        """Wait until the work of ended calls is done."""
        while self._owned:
            await asyncio.wait(self._owned)

    async def aclose(self) -> None:
        """End single calls that are on, finish work, flush deliveries and journals, close all."""
        self._forget_ended()
        ends = [getattr(runner, "aclose", None) for runner in self._attached_to.values()
                if getattr(runner, "is_one_call", False)]  # fmt: skip
        await asyncio.gather(*(end() for end in ends if end is not None))
        await self.settle()
        if self._outbox is not None:
            await self._outbox.aclose()
            self._outbox = None
        open_services = [*self._retired, *([self._services] if self._services else [])]
        self._services, self._retired = None, []
        for services in open_services:
            await services.aclose()
        await self.threads.run("journal", self._sink.close)
        if self._memory is not None:
            await self.threads.run("memory", self._memory.close)


def _clock() -> Clock:
    is_virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
    return virtual_clock() if is_virtual else real_clock()


def _make_sink(journals: str | Path | Sink | None, variables: Mapping[str, str]) -> Sink:
    if journals is None:
        return NoSink()
    if not isinstance(journals, (str, Path)):
        return journals
    days = variables.get("ORCHESTRATOR_JOURNAL_DAYS")
    try:
        keep = float(days) if days else None
    except ValueError:
        keep = 0.0
    if keep is not None and not 0 < keep < 1e6:  # 0 and -1 would remove what is being written
        raise EnvironmentFailure(
            f"ORCHESTRATOR_JOURNAL_DAYS is a number of days above 0, not {days!r}; leave it out to "
            "keep journals for ever"
        )
    return DirectorySink(Path(journals), keep_days=keep)
