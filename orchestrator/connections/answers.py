"""What came back from a web service, and what is said of it when it cannot be used."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import ActionFailed

__all__ = ["HttpAnswer", "failed"]

#: Statuses that may be better next time.
_PASSING = frozenset({408, 425, 429})


def failed(why: str, *, retryable: bool = False, detail: object = None) -> ActionFailed:
    """Our own words and the config's names; nothing of a request or an answer."""
    return ActionFailed(why, retryable=retryable, detail=detail, is_plain=True)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: status, headers (names in lower case) and body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text; what is no UTF-8 in it is replaced."""
        return self.body.decode(errors="replace")

    @property
    def json(self) -> Any:
        """The body read as JSON; None when it is empty.

        Raises:
            ActionFailed: it is no JSON.
        """
        if not self.body.strip():
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise failed(f"HTTP {self.status}, but its body is no JSON") from None

    @property
    def content(self) -> Any:
        """JSON where the answer says that it is, else text; None when it is empty."""
        if "json" in self.headers.get("content-type", "").lower():
            return self.json
        return self.text or None

    def check(self, expect: Collection[int] = ()) -> HttpAnswer:
        """The answer itself, if its status is 2xx or one of those expected.

        Raises:
            ActionFailed: it is neither; `retryable` when it may be better next time.
        """
        if self.status in expect or (self.is_success and not expect):
            return self
        retry_after = self.headers.get("retry-after")
        wait = {"retry_after": retry_after} if retry_after else {}
        raise failed(
            f"HTTP {self.status}",
            retryable=self.status in _PASSING or self.status >= 500,
            detail={"status": self.status, **wait},
        )
