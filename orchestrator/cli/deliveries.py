"""`orchestrator deliveries`: look into the outbox."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from orchestrator.cli.tables import table
from orchestrator.durations import format_duration, parse_duration
from orchestrator.errors import EnvironmentFailure, StoreFailed, UserError
from orchestrator.outbox.choice import VARIABLE, Choice
from orchestrator.outbox.store import Entry, OutboxStore, State
from orchestrator.written import printable

__all__ = ["OUTBOX", "command", "failures_named"]

T = TypeVar("T")

#: Deliveries that are changed at a time.
AT_ONCE = 100

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
      orchestrator deliveries purge --state dead --older-than 30d
    """


@contextmanager
def failures_named(choice: Choice | None = None) -> Iterator[None]:
    """A store that cannot be used is a failure of the environment here, not of a step."""
    try:
        yield
    except StoreFailed as error:
        beside = ""
        if choice is not None and choice.is_nats and choice.file.exists():
            beside = f"; what runners of this machine keep meanwhile: --outbox {choice.file}"
        raise EnvironmentFailure(f"{error}{beside}") from error


def _age(text: str) -> float:
    """Seconds of a duration, which may be in days too: `30d`."""
    days = re.fullmatch(r"([0-9]{1,5})d", text)
    try:
        return float(days[1]) * 86_400.0 if days else parse_duration(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time; write 30d, 12h or 5m") from None


def _ask(setting: str | None, work: Callable[[OutboxStore], Awaitable[T]], nothing: T) -> T:
    """Ask the store that is set; `nothing` when its file was never made."""
    choice = Choice(setting, os.environ)
    if not choice.is_memory and not choice.may_hold():
        if setting is not None:  # whoever names a file means one that is there
            raise EnvironmentFailure(f"there is no outbox at {choice}")
        click.echo(f"there is no outbox yet at {choice}", err=True)
        return nothing

    async def main() -> T:
        store = choice.open_plain()
        try:
            return await work(store)
        finally:
            await store.aclose()

    with failures_named(choice):
        return asyncio.run(main())


async def _each(ids: Sequence[str], do: Callable[[str], Awaitable[bool]]) -> dict[str, bool]:
    """What came of each delivery, many at a time: a server answers after a while."""
    came: dict[str, bool] = {}
    for at in range(0, len(ids), AT_ONCE):
        part = ids[at : at + AT_ONCE]
        came |= zip(part, await asyncio.gather(*map(do, part)), strict=True)
    return came


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
    most = limit if endpoint is None and call_id is None else None
    found = _ask(setting, lambda store: _find_all(store, states, most), found)
    entries = [e for e in found if _fits(e, endpoint, call_id)][:limit]
    if form == "json":
        click.echo(json.dumps([_as_json(entry) for entry in entries], indent=2))
    elif not entries:
        click.echo("no deliveries")
    else:
        click.echo(table(("id", "state", "put", "call", "endpoint", "attempts", "due", "reason"),
                         [_row(entry) for entry in entries]))  # fmt: skip


async def _find_all(
    store: OutboxStore, states: Sequence[State], most: int | None = None
) -> list[Entry]:
    return [entry for state in dict.fromkeys(states) for entry in await store.list(state, most)]


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
    put = datetime.fromtimestamp(entry.put_at, UTC).strftime("%m-%d %H:%M") if entry.put_at else "-"
    return [entry.id, entry.state, put, _cut(entry.delivery.call_id or "-", 36), entry.endpoint,
            str(entry.attempts), when, _cut(entry.reason, 60)]  # fmt: skip


def _cut(text: str, most: int) -> str:
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


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
        click.echo(f"{name:>12}  {_text(value)}")


def _text(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value))


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
    if ids and endpoint is not None:
        raise click.UsageError("--endpoint goes with --all, not with named deliveries")

    async def work(store: OutboxStore) -> dict[str, bool]:
        dead = await store.list("dead") if is_all else ()
        wanted = ids or [entry.id for entry in dead if _fits(entry, endpoint)]
        return await _each(wanted, lambda one: store.redrive(one, time.time()))

    return _say("redriven", "no dead letter", _ask(setting, work, dict.fromkeys(ids, False)), form)


@command.command("purge")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--state", type=_STATE, help="All in this state.")
@click.option("--older-than", metavar="TIME", type=_age,
              help="With --state: put longer ago, such as 30d.")  # fmt: skip
@click.option("--endpoint", metavar="NAME", help="With --state: those of this endpoint.")
@_YES
@OUTBOX
@_FORMAT
def purge(
    ids: tuple[str, ...],
    state: State | None,
    older_than: float | None,
    endpoint: str | None,
    setting: str | None,
    form: str,
    *,
    yes: bool,
) -> int:
    """Forget deliveries for good; what waits is then never sent.

    Delivered ones go by themselves after 7 days, dead letters after 30. What has changed its state
    by the time that you say yes stays.

    \b
    Example:
      orchestrator deliveries purge h_4f0c
      orchestrator deliveries purge --state dead --older-than 30d --yes

    Exit codes: 0 all were there, 1 one was not, 3 the outbox cannot be used.
    """
    if bool(ids) == bool(state):
        raise click.UsageError("name deliveries, or give --state")
    if ids and (endpoint is not None or older_than is not None):
        raise click.UsageError("--endpoint and --older-than go with --state, not with named ones")
    before = time.time() - (older_than or 0.0)
    if state is not None:
        found: list[Entry] = []
        found = _ask(setting, lambda store: _find_all(store, [state]), found)
        ids = tuple(e.id for e in found if _fits(e, endpoint) and e.put_at <= before)
    if ids and not yes:
        click.confirm(f"forget {len(ids)} deliveries for good?", abort=True, err=True)

    async def work(store: OutboxStore) -> dict[str, bool]:
        return await _each(ids, lambda one: store.remove(one, state))

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
