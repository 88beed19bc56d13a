"""Phone calls on one config: the web server, the runner and the hooks, from start to drain.

`RelayService` puts together what `orchestrator.relay` has with an `Orchestrator`; signals and
exit codes are the command's (`cli/serve.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket as net
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.config import Config
from orchestrator.dialog import Dialogs
from orchestrator.errors import ConfigError, OrchestratorError
from orchestrator.relay.collector import Collector
from orchestrator.relay.dialects import Dialect
from orchestrator.relay.listener import Listener
from orchestrator.relay.signatures import Seal, Verifier
from orchestrator.relay.switchboard import Switchboard
from orchestrator.relay.twiml import Directions
from orchestrator.relay.web import RelayWeb
from orchestrator.runtimes.native import AgentRunner
from orchestrator.runtimes.stopping import AT_ONCE, Stopping

__all__ = ["RelayService", "ServeSettings"]

logger = logging.getLogger("orchestrator.serve")

#: Seconds between looks at the config's files.
WATCH_EVERY = 1.0
#: Seconds that goodbyes may still take once every session has ended.
GOODBYES = 6.0


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How calls are served.

    Attributes:
        public_url: where the carrier reaches us, `https://host/prefix`.
        verifier: tells the carrier's requests from others.
        seal_secret: marks the URLs of a call; the same for all processes behind one address.
        attributes: of `<ConversationRelay>`, beside the carrier's own.
        languages: more languages, each with its attributes.
        max_calls: how many calls at a time.
        drain: seconds that calls may go on once we are asked to end.
        owns_process: whether garbage collections may be made when no call waits for them.
    """

    dialect: Dialect
    public_url: str
    verifier: Verifier
    seal_secret: bytes = field(repr=False)
    attributes: Mapping[str, str] = field(default_factory=dict)
    languages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    max_calls: int = 1000
    drain: float = 30.0
    owns_process: bool = False


class RelayService:
    """One config on one listening socket, until `stop`.

    Args:
        orchestrator: the hooks; closed in the end.
        settings: see there.
        dialogs: the dialog machines of calls; closed in the end.
        socket: where to listen.

    Raises:
        NotSupported: the config needs what calls over ConversationRelay cannot do.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        settings: ServeSettings,
        dialogs: Dialogs,
        socket: net.socket,
    ) -> None:
        self._app, self._dialogs = orchestrator, dialogs
        self._settings = settings
        attributes = {**settings.dialect.attributes, **settings.attributes}
        directions = Directions(
            settings.public_url, Seal(settings.seal_secret), attributes, settings.languages
        )
        self.board = Switchboard(
            directions, carrier=settings.dialect.name, max_calls=settings.max_calls
        )  # fmt: skip
        self.runner = AgentRunner(
            dialogs.carry, agent_id=orchestrator.config.name, exchange=self.board,
            max_concurrent=settings.max_calls,
        )  # fmt: skip
        orchestrator.attach(self.runner)
        self._warn_of_languages()
        self._listener = Listener(RelayWeb(self.board, settings.verifier).app, socket)
        self._collector = Collector() if settings.owns_process else None
        self._stamps = _stamps(orchestrator.config.files)
        self._stopping = Stopping()

    @property
    def url(self) -> str:
        """Where we listen."""
        return self._listener.url

    def stop(self) -> None:
        """Drain and end; asked again, end at once."""
        self._stopping.ask()

    async def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Take calls until `stop`, then drain; `ready` is called once we listen.

        Raises:
            EnvironmentFailure: the dialog machine cannot be made.
        """
        self._dialogs.prepare()
        self._begin_deliveries()
        await self._listener.start()
        running = asyncio.create_task(self.runner.run(handles_signals=False))
        watching = asyncio.create_task(self._watch())
        if self._collector is not None:
            self._collector.start()
        ready()
        try:
            await asyncio.wait(
                {running, asyncio.ensure_future(self._stopping.wait())},
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            watching.cancel()
            await self._drain()
            if self._collector is not None:
                self._collector.stop()
            running.cancel()
            await self._stopping.unless_urged(_ended(running, watching))

    def _warn_of_languages(self) -> None:
        """A language that the carrier was not told of would only fail in a call."""
        attributes = self._settings.attributes
        told = {attributes.get(name, "") for name in ("language", "ttsLanguage",
                                                      "transcriptionLanguage")}  # fmt: skip
        for place, code in languages_of(self._app.config):
            if code not in {*self._settings.languages, *told, "multi"}:
                extra = {"place": place, "reason": f"no --language {code}"}
                logger.warning("set_language may not work", extra=extra)

    def _begin_deliveries(self) -> None:
        """What an earlier process left is sent also when no call of this one sends anything."""
        try:
            self._app.outbox().start()
        except OrchestratorError as error:
            logger.error("the outbox cannot be used", extra={"reason": str(error)})

    # --- the end

    async def _drain(self) -> None:
        await self.board.aclose()  # from now on: not ready, and new calls are told busy
        logger.info("draining", extra={"count": len(self.board)})
        await self.runner.drain(self._stopping, self._settings.drain)
        await self._stopping.unless_urged(self.board.settle(GOODBYES))
        await _within(AT_ONCE, self.board.settle(0))
        await self._stopping.unless_urged(self._app.aclose())
        await self._stopping.unless_urged(self._dialogs.aclose())
        await self._listener.aclose()

    # --- reload

    async def reload(self) -> bool:
        """Read the config again; whether it was good. A bad one changes nothing."""
        try:
            await self._app.reload()
        except ConfigError as error:
            for problem in error.problems:
                if problem.is_error:
                    extra = {"place": str(problem.position), "reason": problem.message}
                    logger.error("the config was not reloaded", extra=extra)
        except OrchestratorError as error:
            logger.error("the config was not reloaded", extra={"reason": str(error)})
        except Exception:
            logger.exception("the config was not reloaded")
        else:
            logger.info("the config was reloaded", extra={"reason": self._app.plan.digest[:12]})
            self._warn_of_languages()
            return True
        return False

    async def _watch(self) -> None:
        """Reload when a file of the config changes, and collect garbage when it is time."""
        seen = self._stamps
        while True:
            await asyncio.sleep(WATCH_EVERY)
            if self._collector is not None:
                self._collector.look(self.board.ended, len(self.board))
            found = await self._app.threads.run("stamps", _stamps, self._app.config.files)
            if found != seen:
                await self.reload()
                seen = (
                    await self._app.threads.run("stamps", _stamps, self._app.config.files) | found
                )


def languages_of(config: Config) -> Iterator[tuple[str, str]]:
    """The languages that `set_language` steps choose by a constant, with their places."""
    for step in config.steps():
        if step.word == "set_language":
            for value in step.options.values():
                if isinstance(value.constant, str):
                    yield str(value.place.value_position), value.constant


def _stamps(files: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """When each file was written and how large it is; of one that is away, nothing."""
    stamps = {}
    for file in files:
        with contextlib.suppress(OSError):
            found = os.stat(file)
            stamps[file] = (found.st_mtime_ns, found.st_size)
    return stamps


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


async def _within(seconds: float, work: Coroutine[Any, Any, Any]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(work, seconds)
