"""When a delivery is tried again. The schedule is Svix's, with jitter; see Standard Webhooks."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

__all__ = ["MOST_WAIT", "SCHEDULE", "delay_before", "is_last", "retry_after"]

#: Seconds from one attempt to the next; the first is made at once, after the last it is given up.
SCHEDULE = (0.0, 5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
_SECONDS = re.compile(r"[0-9]{1,400}(?:\.[0-9]{0,9})?", re.ASCII)
#: Seconds that a receiver may ask us to wait, at most.
MOST_WAIT = 36_000.0
#: Seconds from which on a number is no wait but a time: in 2001, more than thirty years.
_EPOCH = 1e9


def is_last(attempts: int) -> bool:
    """Whether no attempt follows after so many."""
    return attempts >= len(SCHEDULE)


def delay_before(delivery_id: str, attempts: int) -> float:
    """Seconds to wait after so many attempts, by the schedule and the id.

    Each attempt is shifted against its planned time by up to 10 % of the interval before it, and
    the shifts do not add up: a receiver that is down for a day is always tried after it.
    """
    shift = _shift(delivery_id, attempts) - _shift(delivery_id, attempts - 1)
    return max(0.0, SCHEDULE[attempts] + shift)


def _shift(delivery_id: str, attempts: int) -> float:
    digest = hashlib.sha256(f"{delivery_id}:{attempts}".encode()).digest()
    return SCHEDULE[attempts] * (0.2 * int.from_bytes(digest[:4], "big") / 2**32 - 0.1)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that an answer asks us to wait, by number or date; capped at ten hours.

    Also read: fractions, ISO dates, seconds or milliseconds since 1970, and a header that came
    twice, of which the longer wait counts.
    """
    text = next((v for k, v in headers.items() if k.lower() == "retry-after"), "").strip()
    waits = [_wait(part.strip(), now) for part in (text, *text.split(","))]
    return max((wait for wait in waits if wait is not None), default=None)


def _wait(text: str, now: datetime) -> float | None:
    if _SECONDS.fullmatch(text):
        return _within(_seconds(float(text), now))
    moment = _moment(text)
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=now.tzinfo)
    return _within((moment - now).total_seconds())


def _seconds(number: float, now: datetime) -> float:
    """A number as seconds to wait; one of decades is a time since 1970, perhaps in milliseconds."""
    if number < _EPOCH:
        return number
    return (number if number < 1_000 * _EPOCH else number / 1_000) - now.timestamp()


def _within(seconds: float) -> float:
    return min(max(0.0, seconds), MOST_WAIT)


def _moment(text: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            return read(text)
    return None
