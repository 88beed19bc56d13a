"""`orchestrator serve` as a process of its own, as an operator runs it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.relay_peer import PUBLIC, TOKEN, Network, Twilio

ROOT = Path(__file__).parent.parent


class Serve:
    """`async with Serve(folder, config_text) as serve:`; `serve.network` reaches it."""

    def __init__(self, folder: Path, config: str, *options: str, carrier: Any = None,
                 **variables: str) -> None:  # fmt: skip
        self.folder, self.file = folder, folder / "line.yaml"
        self.file.write_text(config)
        self.carrier = carrier or Twilio()
        self.journals = folder / "journals"
        self.options = options
        self.variables = {"TWILIO_AUTH_TOKEN": TOKEN, "ORCHESTRATOR_OUTBOX": str(folder / "o.db"),
                          "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", **variables}  # fmt: skip
        self.log: list[str] = []
        self.network: Network
        self._grew = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-m", "orchestrator", "serve", str(self.file),
            "--port", "0", "--public-url", PUBLIC, "--journal-dir", str(self.journals),
            *self.options, cwd=self.folder, env={**os.environ, **self.variables},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read())
        line = await self.until_logged("serving ")
        found = re.search(r"on (http://\S+);", line)
        assert found is not None
        self.network = Network(self.carrier, found[1])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode())
            async with self._grew:
                self._grew.notify_all()
        async with self._grew:
            self._grew.notify_all()

    async def until_logged(self, text: str, count: int = 1) -> str:
        """The first line with a text, once there are so many."""

        def found() -> bool:
            return sum(text in line for line in self.log) >= count

        async with asyncio.timeout(20), self._grew:
            await self._grew.wait_for(lambda: found() or self._reader.done() or self._ended())
        assert found(), "".join(self.log)
        return next(line for line in self.log if text in line)

    def _ended(self) -> bool:
        return self.process.returncode is not None

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def ends(self, seconds: float = 30.0) -> int:
        """Its exit code, once it has ended."""
        async with asyncio.timeout(seconds):
            await self.process.wait()
            await self._reader
        return self.process.returncode or 0

    def journal(self, call_id: str = "CA1") -> str:
        """What was written of a call."""
        return (self.journals / f"{call_id}.jsonl").read_text()
