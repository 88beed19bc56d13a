"""Which connection of the config changes the recording of a call: that of the call's account."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.errors import CommandRefused
from orchestrator.relay.parts import Recorder

__all__ = ["Recordings"]


class Recordings:
    """The recording of one call, through the carrier's API.

    Args:
        lent: what opens each connection to the carrier's API, by name.
        account: the carrier's account that brings the call; empty when it did not say.
        remark: told once when the only connection is of another account.
    """

    def __init__(
        self,
        lent: Mapping[str, Callable[[], Recorder]],
        account: str,
        remark: Callable[..., None],
    ) -> None:
        self._lent = lent
        self._account = account
        self._remark = remark
        self._chosen: Recorder | None = None

    async def change(self, call_id: str, change: str) -> None:
        """Change it; `change` is pause or resume.

        Raises:
            CommandRefused: no connection is of the call's account.
            ActionFailed: the carrier did not do it.
        """
        if self._chosen is None:
            self._chosen = self._choose()
        await self._chosen.record(call_id, change)

    def _choose(self) -> Recorder:
        """Of several accounts the call's own: to another one, its recordings do not exist."""
        found = {name: opens() for name, opens in self._lent.items()}
        own = [one for one in found.values() if one.account_sid == self._account]
        if own:
            return own[0]
        names = ", ".join(found)
        if len({one.account_sid for one in found.values()}) > 1:
            why = ("each is of another account than the one that brings it" if self._account
                   else "the carrier did not say which account brings it")  # fmt: skip
            raise CommandRefused(f"no connection for the recording of this call: {names}: {why}")
        if self._account:  # it is asked all the same: what an account is called is the carrier's
            self._remark("the call is of another account than the connection", connection=names)
        return next(iter(found.values()))
