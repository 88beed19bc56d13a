"""`orchestrator deliveries`: look into the outbox."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from orchestrator.cli.tables import table
from orchestrator.durations import format_duration, parse_duration
from orchestrator.errors import EnvironmentFailure, StoreFailed, UserError
from orchestrator.outbox.choice import VARIABLE, Choice
from orchestrator.outbox.store import Entry, OutboxStore, State

__all__ = ["OUTBOX", "command", "failures_named"]

T = TypeVar("T")

OUTBOX = click.option("--outbox", "setting", metavar="WHERE",
    help=f"A SQLite file or nats://HOST; by default what {VARIABLE} says, else your own file.",
)  # fmt: skip
_FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
_STATE = click.Choice(["waiting", "dead", "done"])
_YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group("deliveries")
def command() -> None:
    """Look into the outbox: what still has to leave, and what was given up.

    A delivery is `waiting` until its receiver takes it (`done`) or it is given up (`dead`): refused
    with a 4xx, or not taken in eight attempts over more than a day.

    \b
    Example:
      orchestrator deliveries list
      orchestrator deliveries show h_4f0c
      orchestrator deliveries redrive --all --endpoint billing
      orchestrator deliveries purge --state dead --older-than 720h
    """


@contextmanager
def failures_named() -> Iterator[None]:
    """A store that cannot be used is a failure of the environment here, not of a step."""
    try:
        yield
    except StoreFailed as error:
        raise EnvironmentFailure(str(error)) from error


def _ask(setting: str | None, work: Callable[[OutboxStore], Awaitable[T]], nothing: T) -> T:
    """Ask the store that is set; `nothing` when its file was never made."""
    choice = Choice(setting, os.environ)
    if not choice.is_memory and not choice.may_hold():
        click.echo(f"there is no outbox yet at {choice}", err=True)
        return nothing

    async def main() -> T:
        store = choice.open_plain()
        try:
            return await work(store)
        finally:
            await store.aclose()

    with failures_named():
        return asyncio.run(main())


@command.command("list")
@click.option("--state", "states", type=_STATE, multiple=True, default=["waiting", "dead"],
              help="May be given several times; by default waiting and dead.")  # fmt: skip
@click.option("--endpoint", metavar="NAME",
              help="A connection, or the host of a URL; whole names only.")  # fmt: skip
@click.option("--call", "call_id", metavar="ID", help="Of this call only.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@OUTBOX
@_FORMAT
def list_deliveries(
    states: tuple[State, ...],
    endpoint: str | None,
    call_id: str | None,
    limit: int,
    setting: str | None,
    form: str,
) -> None:
    """List deliveries, the oldest first.

    \b
    Example:
      orchestrator deliveries list --state dead --endpoint billing
    """
    found: list[Entry] = []
    found = _ask(setting, lambda store: _find_all(store, states), found)
    entries = [e for e in found if _fits(e, endpoint, call_id)][:limit]
    if form == "json":
        click.echo(json.dumps([_as_json(entry) for entry in entries], indent=2))
    elif not entries:
        click.echo("no deliveries")
    else:
        click.echo(table(("id", "state", "endpoint", "attempts", "due", "reason"),
                         [_row(entry) for entry in entries]))  # fmt: skip


async def _find_all(store: OutboxStore, states: Sequence[State]) -> list[Entry]:
    return [entry for state in dict.fromkeys(states) for entry in await store.list(state)]


def _names(entry: Entry) -> tuple[str, ...]:
    """What an entry's endpoint may be called: `billing`, `//host:8443`, with its config or not."""
    if entry.delivery.connection:
        return entry.endpoint, entry.delivery.connection
    host = urlsplit(entry.delivery.url).netloc
    return entry.endpoint, host, f"//{host}"


def _fits(entry: Entry, endpoint: str | None, call_id: str | None = None) -> bool:
    """Whether an entry is one that was asked for; names are whole ones, never parts."""
    is_there = endpoint is None or endpoint in _names(entry)
    return is_there and (call_id is None or entry.delivery.call_id == call_id)


def _row(entry: Entry) -> list[str]:
    due = entry.due - time.time()
    when = "-" if entry.state != "waiting" else "now" if due <= 0 else f"in {_coarse(due)}"
    reason = "".join(c if c.isprintable() else "?" for c in entry.reason)[:60]
    return [entry.id, entry.state, entry.endpoint, str(entry.attempts), when, reason]


def _coarse(seconds: float) -> str:
    unit = 1 if seconds < 120 else 60 if seconds < 7_200 else 3_600
    return format_duration(round(seconds / unit) * unit)


def _as_json(entry: Entry) -> dict[str, Any]:
    sent = entry.delivery
    return {
        "id": entry.id, "state": entry.state, "config": sent.config, "endpoint": entry.endpoint,
        "call_id": sent.call_id, "method": sent.method, "url": sent.url, "attempts": entry.attempts,
        "due": entry.due, "put_at": entry.put_at, "reason": entry.reason, "order": sent.order,
    }  # fmt: skip


@command.command("show")
@click.argument("delivery_id", metavar="ID")
@OUTBOX
@_FORMAT
def show(delivery_id: str, setting: str | None, form: str) -> None:
    """Show one delivery with its headers and body; credentials are not among them.

    \b
    Example:
      orchestrator deliveries show h_4f0c --format json
    """
    entry: Entry | None = _ask(setting, lambda store: store.find(delivery_id), None)
    if entry is None:
        raise UserError(f"no delivery {delivery_id!r}; `orchestrator deliveries list` shows all")
    sent = entry.delivery
    whole = {
        **_as_json(entry), "headers": dict(sent.headers), "content_type": sent.content_type,
        "body": sent.body.decode(errors="replace"),
    }  # fmt: skip
    if form == "json":
        click.echo(json.dumps(whole, indent=2))
        return
    for name, value in whole.items():
        click.echo(f"{name:>12}  {_printable(value)}")


def _printable(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@command.command("redrive")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All dead letters.")
@click.option("--endpoint", metavar="NAME", help="With --all: those of this endpoint.")
@OUTBOX
@_FORMAT
def redrive(
    ids: tuple[str, ...], endpoint: str | None, setting: str | None, form: str, *, is_all: bool
) -> int:
    """Send dead letters again, under the same ids, from the start of the schedule.

    The next worker takes them: a running app of their config, or `orchestrator deliver`. Addresses
    that their receiver had closed (410) are opened.

    \b
    Example:
      orchestrator deliveries redrive h_4f0c
      orchestrator deliveries redrive --all --endpoint billing

    Exit codes: 0 all were there, 1 one was no dead letter, 3 the outbox cannot be used.
    """
    if bool(ids) == is_all:
        raise click.UsageError("name deliveries, or give --all")

    async def work(store: OutboxStore) -> dict[str, bool]:
        dead = await store.list("dead") if is_all else ()
        wanted = ids or [entry.id for entry in dead if _fits(entry, endpoint)]
        return {one: await store.redrive(one, time.time()) for one in wanted}

    return _say("redriven", "no dead letter", _ask(setting, work, dict.fromkeys(ids, False)), form)


@command.command("purge")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--state", type=_STATE, help="All in this state.")
@click.option("--older-than", metavar="TIME", help="With --state: put longer ago, such as 720h.")
@click.option("--endpoint", metavar="NAME", help="With --state: those of this endpoint.")
@_YES
@OUTBOX
@_FORMAT
def purge(
    ids: tuple[str, ...],
    state: State | None,
    older_than: str | None,
    endpoint: str | None,
    setting: str | None,
    form: str,
    *,
    yes: bool,
) -> int:
    """Forget deliveries for good; what waits is then never sent.

    Delivered ones go by themselves after 7 days, dead letters after 30.

    \b
    Example:
      orchestrator deliveries purge h_4f0c
      orchestrator deliveries purge --state dead --older-than 720h --yes

    Exit codes: 0 all were there, 1 one was not, 3 the outbox cannot be used.
    """
    if bool(ids) == bool(state):
        raise click.UsageError("name deliveries, or give --state")
    before = time.time() - (parse_duration(older_than) if older_than else 0)
    if state is not None:
        found: list[Entry] = []
        found = _ask(setting, lambda store: _find_all(store, [state]), found)
        ids = tuple(e.id for e in found if _fits(e, endpoint) and e.put_at <= before)
    if ids and not yes:
        click.confirm(f"forget {len(ids)} deliveries for good?", abort=True, err=True)

    async def work(store: OutboxStore) -> dict[str, bool]:
        return {one: await store.remove(one) for one in ids}

    return _say("forgotten", "not there", _ask(setting, work, dict.fromkeys(ids, False)), form)


def _say(good: str, bad: str, what: dict[str, bool], form: str) -> int:
    if form == "json":
        click.echo(
            json.dumps(
                {
                    good: [k for k, v in what.items() if v],
                    bad: [k for k, v in what.items() if not v],
                }
            )
        )
    else:
        for one, is_good in what.items():
            click.echo(f"{one}  {good if is_good else bad}")
        click.echo(f"{sum(what.values())} {good}")
    return int(not all(what.values()))
