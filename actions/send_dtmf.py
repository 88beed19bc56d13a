"""`send_dtmf`: send key tones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from orchestrator.action import (
    NULL,
    Action,
    ActionContext,
    ActionFailed,
    Fault,
    Filled,
    Shape,
    Trusted,
)

__all__ = ["SendDtmf"]

_DIGITS = re.compile(r"[0-9A-D*#wW]{1,64}")


class SendDtmf(Action):
    """Send key tones, for example to a menu on the other side. `w` waits half a second.

    ```yaml
    - send_dtmf: "1w2#"
    ```
    """

    digits: Annotated[str, "keys: 0-9, A-D, *, #, and w to wait", Filled, Trusted("digits")]

    needs: ClassVar[frozenset[str]] = frozenset({"digits"})
    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> Sequence[Fault]:
        """The keys must be on a phone."""
        digits = str(options.get("digits") or "")
        if digits and "{{" not in digits and "${" not in digits and not _DIGITS.fullmatch(digits):
            return [
                Fault(f"{digits!r} has keys that no phone has", "digits", "use 0-9, A-D, * and #")
            ]
        return ()

    async def run(self, ctx: ActionContext) -> None:
        """Send the tones."""
        if not _DIGITS.fullmatch(self.digits):
            raise ActionFailed(f"{self.digits!r} has keys that no phone has")
        await ctx.send_digits(self.digits)
