"""One attempt at a delivery, and what it came to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from orchestrator.action import Delivery
from orchestrator.errors import ActionFailed, Unsendable, named, words
from orchestrator.outbox.schedule import retry_after

__all__ = ["Outcome", "Send", "attempt"]

Send = Callable[[Delivery], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to, and why.

    ==========  ================================================================
    `taken`     the receiver has it
    `failed`    no answer, or one that may be better next time
    `refused`   trying again cannot help
    `unsent`    not sent, for a reason on our side; the receiver knows of nothing
    ==========  ================================================================

    `wait` is for how many seconds the receiver asked to be left alone; `is_gone` that it wants
    nothing at this address any more.
    """

    kind: Literal["taken", "failed", "refused", "unsent"]
    reason: str = ""
    wait: float | None = None
    is_gone: bool = False


async def attempt(send: Send, delivery: Delivery, limit: float, now: datetime) -> Outcome:
    """Make one attempt within `limit` seconds; `now` is the time of day. Raises nothing."""
    try:
        async with asyncio.timeout(limit):
            answer = await send(delivery)
    except TimeoutError:
        return Outcome("failed", f"no answer within {limit:g} s")
    except Unsendable as error:
        return Outcome("unsent", words(error))
    except ActionFailed as error:
        return Outcome("failed" if error.retryable else "refused", words(error))
    except Exception as error:  # noqa: BLE001 - recorded as the entry's reason
        return Outcome("failed", named(error))
    if answer is None or 200 <= answer.status < 300:
        return Outcome("taken")
    reason = f"HTTP {answer.status}"
    if _is_final(answer.status):
        return Outcome("refused", reason, is_gone=answer.status == 410)
    return Outcome("failed", reason, retry_after(answer.headers, now))


def _is_final(status: int) -> bool:
    """Whether repeating the request cannot help; a redirect, never followed, may be mended."""
    return 400 <= status < 500 and status not in (408, 425, 429)
