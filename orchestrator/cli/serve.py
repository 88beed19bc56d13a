"""`orchestrator serve`: answer phone calls."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.app import Orchestrator
from orchestrator.cli.deliveries import OUTBOX, failures_named
from orchestrator.cli.dialogs import DIALOG_HELP, INSTRUCTIONS, dialogs_named
from orchestrator.cli.numbers import FiniteRange
from orchestrator.cli.serve_options import Asked, Pairs
from orchestrator.logs import set_up_logging
from orchestrator.relay.dialects import DIALECTS
from orchestrator.validation import load_config

if TYPE_CHECKING:
    from orchestrator.serve import ServeSettings

__all__ = ["command"]

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _option(flag: str, variable: str, **settings: Any) -> _Decorator:
    """An option that an environment variable gives too."""
    return click.option(flag, envvar=variable, show_envvar=True, **settings)


@click.command("serve")
@click.argument("config", metavar="FILE", envvar="ORCHESTRATOR_CONFIG",
                type=click.Path(path_type=Path))  # fmt: skip
@_option("--host", "ORCHESTRATOR_HOST", default="127.0.0.1", show_default=True,
         help="The address to listen on; 0.0.0.0 is every one of this machine.")  # fmt: skip
@_option("--port", "ORCHESTRATOR_PORT", type=click.IntRange(0, 65535), default=8080,
         show_default=True, help="The port to listen on; 0 is any that is free.")  # fmt: skip
@_option("--public-url", "ORCHESTRATOR_PUBLIC_URL", metavar="URL",
         help="Where the carrier reaches this server, such as https://calls.example.com; "
         "signatures are made over it.")  # fmt: skip
@_option("--carrier", "ORCHESTRATOR_CARRIER", type=click.Choice(list(DIALECTS)), default="twilio",
         show_default=True, help="Who brings the calls.")  # fmt: skip
@_option("--dialog", "ORCHESTRATOR_DIALOG", metavar="MACHINE", help=DIALOG_HELP)
@INSTRUCTIONS
@_option("--relay", "ORCHESTRATOR_RELAY", metavar="NAME=VALUE", multiple=True, type=Pairs(),
         help="An attribute of <ConversationRelay>: language=de-DE, voice=..., "
         "transcriptionProvider=..., welcomeGreeting=...; may be given several times.")  # fmt: skip
@_option("--language", "ORCHESTRATOR_LANGUAGES", metavar="CODE[,NAME=VALUE...]", multiple=True,
         help="One more language that `set_language` may choose, with its voice, ttsProvider, "
         "transcriptionProvider or speechModel; several times.")  # fmt: skip
@_option("--max-calls", "ORCHESTRATOR_MAX_CALLS", metavar="N", type=click.IntRange(1, 20_000),
         default=1000, show_default=True,
         help="Calls at a time; more are told that the line is busy.")  # fmt: skip
@_option("--drain", "ORCHESTRATOR_DRAIN", metavar="SECONDS", type=FiniteRange(0, 86_400),
         default=30.0, show_default=True,
         help="How long calls may go on once asked to end.")  # fmt: skip
@_option("--journal-dir", "ORCHESTRATOR_JOURNALS", metavar="DIR", type=click.Path(path_type=Path),
         help="Write one journal a call there.")  # fmt: skip
@OUTBOX
@_option("--memory", "ORCHESTRATOR_MEMORY", metavar="WHERE",
         help="What keeps the memory of earlier calls: a SQLite file, nats://HOST, or memory: for "
         "nothing; by default your own file.")  # fmt: skip
@click.option("--insecure-no-signatures", "is_insecure", is_flag=True,
              help="Believe every request; for trials on this machine only.")  # fmt: skip
def command(config: Path, **given: Any) -> int:
    """Answer phone calls with this config, over Twilio's or Telnyx's ConversationRelay.

    Point the voice webhook of a number at PUBLIC-URL/voice (POST). Each request must carry the
    carrier's signature, checked with TWILIO_AUTH_TOKEN (two, with a comma between, while they
    rotate) or TELNYX_PUBLIC_KEY from the environment. /healthz and /readyz tell how it is.

    SIGTERM or Ctrl-C: no new calls, calls that are on may end, post-call work and deliveries are
    finished; a second one ends within about a second. SIGHUP, or a change of the config's files:
    the new config serves new calls, unless it is bad.

    \b
    Example:
      TWILIO_AUTH_TOKEN=... orchestrator serve support-line.yaml \\
          --public-url https://calls.example.com --dialog openai:gpt-4.1-mini
      orchestrator serve support-line.yaml --insecure-no-signatures     # a trial at home

    Exit codes: 0 it ended as asked, 1 the config has mistakes, 2 an option or its variable is
    wrong, 3 the environment fails: a file, port, address, secret, package or machine.
    """
    from orchestrator.relay.listener import open_socket  # the packages are an extra
    from orchestrator.serve import RelayService

    set_up_logging(os.environ, sys.stderr)
    asked = Asked(**given)
    verifier = asked.verifier(os.environ)
    asked.check_memory(os.environ)
    dialogs = dialogs_named(asked.dialog, asked.instructions)
    loaded = load_config(config)
    socket = open_socket(asked.host, asked.port)
    settings = asked.settings(verifier, os.environ, socket.getsockname()[1])
    _raise_file_limit(asked.max_calls)

    async def main(app: Orchestrator) -> None:
        service = RelayService(app, settings, dialogs, socket)
        loop, reloads = asyncio.get_running_loop(), set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stop)

        def reload() -> None:
            task = asyncio.ensure_future(service.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGHUP, reload)
        await service.run(lambda: _say_ready(config, settings, service.url))

    with failures_named(), contextlib.closing(socket):
        # An option stands before its variable, in configs too.
        variables = {**os.environ, "ORCHESTRATOR_PUBLIC_URL": settings.public_url}
        app = Orchestrator(
            loaded, variables=variables, journals=asked.journal_dir, outbox=asked.setting,
            memory=asked.memory,
        )  # fmt: skip
        asyncio.run(main(app))
    click.echo("ended", err=True)
    return 0


def _say_ready(config: Path, settings: ServeSettings, url: str) -> None:
    hook = f"{settings.dialect.title}'s webhook: {settings.public_url}/voice"
    click.echo(f"serving {config} on {url}; {hook}", err=True)


def _raise_file_limit(max_calls: int) -> None:
    """Each call is a socket: have as many as were asked for, if this machine lets us."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_calls + 512
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
