"""What a session can be asked to do: each control becomes one command to the bridge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, get_args

from orchestrator.dialog.contract import Machine
from orchestrator.errors import LineGone, NotSupported
from orchestrator.runtime import (
    CAPABILITIES,
    Bridge,
    Command,
    Filler,
    Inject,
    Interrupt,
    Play,
    Recording,
    Say,
    SendDigits,
    SetLanguage,
    Transfer,
)

__all__ = ["Controls", "RecordingControl"]

Kind = Literal["number", "queue", "agent"]
Mode = Literal["cold", "warm"]


class Controls(ABC):
    """The controls of a session.

    Each raises `NotSupported` when the bridge lacks what it needs, `LineGone` once the call is
    over or ending, and `CommandRefused` when the far side says no.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self.recording = RecordingControl(self)
        self._machine: Machine | None = None

    @property
    def dialog_machine(self) -> Any:
        """What writes the replies; None for nothing, or for the runtime's own model.

        What is set has `stream(text)`, or is a machine of the package `superdialog`.

        Raises:
            TypeError: it is no dialog machine.
        """
        return None if self._machine is None else self._machine.given

    @dialog_machine.setter
    def dialog_machine(self, machine: Any) -> None:
        self._machine = None if machine is None else Machine(machine)

    @property
    def capabilities(self) -> frozenset[str]:
        """What the runtime of this call can do."""
        return self._bridge.capabilities

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether nothing can be said or done on the call any more."""

    async def command(self, command: Command, *needs: str) -> None:
        """Send a command that needs these capabilities beside its own."""
        self._require(command.needs, *needs)
        if self.is_over:
            raise LineGone(f"the call is over, {command.name!r} came too late")
        await self._bridge.send(command)

    def _require(self, *needs: str) -> None:
        for need in needs:
            if need and need not in self.capabilities:
                what = CAPABILITIES.get(need, need)
                raise NotSupported(f"this runtime cannot {what} (capability {need!r})")

    async def say(self, text: str, interruptible: bool = True) -> None:
        """Speak a text after what is queued."""
        needs = () if interruptible else ("say.protected",)
        await self.command(Say(text, interruptible), *needs)

    async def interrupt(self) -> None:
        """Stop the agent's speech, and the reply that is being written."""
        await self.command(Interrupt())

    async def transfer(
        self,
        target: str,
        *,
        transfer_type: str = "number",
        mode: Mode = "cold",
        announcement: str = "",
        answer_within: float = 25.0,
    ) -> None:
        """Hand the caller over; returns once the runtime took the request.

        `transfer_type` is `number`, `queue` (or `human`) or `agent`; `answer_within` is in seconds.
        """
        kind = _kind(transfer_type)
        if mode not in get_args(Mode):
            raise ValueError(f"mode must be cold or warm, got {mode!r}")
        needs = (f"transfer.{kind}", *(["transfer.warm"] if mode == "warm" else []))
        await self.command(Transfer(kind, target, mode, announcement, answer_within), *needs)

    async def transfer_to_human(
        self,
        queue: str,
        *,
        mode: Mode = "cold",
        announcement: str = "",
        answer_within: float = 25.0,
    ) -> None:
        """Hand the caller over to a queue of people."""
        await self.transfer(
            queue,
            transfer_type="queue",
            mode=mode,
            announcement=announcement,
            answer_within=answer_within,
        )

    async def transfer_to_agent(
        self,
        agent_id: str,
        *,
        mode: Mode = "cold",
        announcement: str = "",
        answer_within: float = 25.0,
    ) -> None:
        """Hand the caller over to another agent."""
        await self.transfer(
            agent_id,
            transfer_type="agent",
            mode=mode,
            announcement=announcement,
            answer_within=answer_within,
        )

    async def set_filler(self, text: str) -> None:
        """What to say while the agent thinks; an empty text turns it off."""
        await self.command(Filler(text))

    async def send_digits(self, digits: str) -> None:
        """Send key tones."""
        await self.command(SendDigits(digits))

    async def set_language(self, speech: str = "", transcription: str = "") -> None:
        """Speak and listen in other languages from now on; an empty one stays as it is."""
        await self.command(SetLanguage(speech, transcription))

    async def play(
        self,
        source: str,
        *,
        loop: int = 1,
        interruptible: bool = True,
        lasts: float | None = None,
    ) -> None:
        """Play a sound from an https address after what is queued; `lasts` are seconds."""
        needs = () if interruptible else ("say.protected",)
        await self.command(Play(source, loop, interruptible, lasts), *needs)

    async def inject(self, note: str) -> None:
        """Give a note to the dialog machine: ours, if it takes notes, else the runtime's."""
        if self._machine is None or not self._machine.takes_notes:
            await self.command(Inject(note))
            return
        if self.is_over:
            raise LineGone("the call is over, a note came too late")
        await self._machine.note(note)


def _kind(transfer_type: str) -> Kind:
    kinds: dict[str, Kind] = {
        "number": "number", "queue": "queue", "human": "queue", "agent": "agent",
    }  # fmt: skip
    if transfer_type not in kinds:
        raise ValueError(f"transfer_type must be one of {', '.join(kinds)}, got {transfer_type!r}")
    return kinds[transfer_type]


class RecordingControl:
    """The recording of a call, paused and resumed."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    async def pause(self, reason: str = "") -> None:
        """Stop recording until `resume`."""
        await self._controls.command(Recording("pause", reason))

    async def resume(self) -> None:
        """Record again."""
        await self._controls.command(Recording("resume"))
