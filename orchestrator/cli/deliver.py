"""`orchestrator deliver`: the delivery worker alone."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import click

from orchestrator.cli.deliveries import OUTBOX, failures_named
from orchestrator.cli.numbers import FiniteRange
from orchestrator.compiler import compile_config
from orchestrator.errors import EnvironmentFailure
from orchestrator.outbox import Limits
from orchestrator.outbox.choice import Choice
from orchestrator.validation import load_config
from orchestrator.worker import Worker

__all__ = ["command"]


@click.command("deliver")
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True,
                type=click.Path(path_type=Path))  # fmt: skip
@OUTBOX
@click.option("--once", is_flag=True, help="Send what is due now, then end.")
@click.option("--drain", metavar="SECONDS", type=FiniteRange(0, 86_400), default=10.0,
              show_default=True, help="How long to go on once asked to end.")  # fmt: skip
@click.option("--per-endpoint", metavar="N", type=click.IntRange(1, 100), default=4,
              show_default=True, help="Attempts under way at once to one endpoint.")  # fmt: skip
@click.option("--in-all", metavar="N", type=click.IntRange(1, 1000), default=20,
              show_default=True, help="Attempts under way at once to all endpoints.")  # fmt: skip
def command(
    configs: tuple[Path, ...],
    setting: str | None,
    drain: float,
    per_endpoint: int,
    in_all: int,
    *,
    once: bool,
) -> int:
    """Send what waits in the outbox for these configs, until asked to end (SIGTERM, Ctrl-C).

    Running apps deliver by themselves; this is for machines that take no calls, and for what was
    left when none runs. Any number of workers and apps may share an outbox. Each config must be
    here, because its connections have the addresses and credentials: none are in the outbox.

    \b
    Example:
      orchestrator deliver support-line.yaml
      orchestrator deliver configs/*.yaml --outbox nats://10.0.0.5:4222
      orchestrator deliver support-line.yaml --once     # from cron

    Exit codes: 0 it ended as asked, 1 a config has mistakes or its variables are not set, 2 wrong
    usage, 3 the outbox cannot be used or a file cannot be read.
    """
    choice = Choice(setting, os.environ)
    if choice.is_memory:
        raise click.UsageError(
            "an outbox in memory has nothing for another process; set a file or server"
        )
    plans = [compile_config(load_config(path), os.environ) for path in configs]
    for plan in plans:
        for prepare in plan.prepare:
            prepare()
    names = ", ".join(plan.name for plan in plans)
    click.echo(f"delivering for {names} from {choice}", err=True)
    if not choice.may_hold():
        if setting is not None:
            raise EnvironmentFailure(f"there is no outbox at {choice}")
        click.echo("there is no outbox yet; it is made now", err=True)
    with failures_named(choice):
        worker = Worker(plans, choice.open_plain(), limits=Limits(per_endpoint, in_all))
        left = asyncio.run(_work(worker, drain, is_once=once))
    click.echo(f"ended; {left} wait in the outbox", err=True)
    return 0


async def _work(worker: Worker, drain: float, *, is_once: bool) -> int:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await worker.outbox.count("waiting")  # says at once that the outbox cannot be used
    if is_once:
        stop.set()
        drain = 86_400.0
    await worker.run(stop)
    return await worker.aclose(drain)
