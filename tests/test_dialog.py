"""The small dialog machines."""

from __future__ import annotations

from collections.abc import AsyncIterator

from wire import now, virtual

from orchestrator.dialog import Echo, HttpDialog, from_callable
from orchestrator.dialog.contract import Machine
from orchestrator.runtime import DialogMachine


async def reply(machine: DialogMachine, text: str) -> list[str]:
    return [piece async for piece in machine.stream(text)]


@virtual
async def test_echo_repeats_word_by_word() -> None:
    """The pieces joined are the reply."""
    pieces = await reply(Echo(0.5), "hello  there")
    assert pieces == ["You", " said:", " hello", " ", " there"]
    assert "".join(pieces) == "You said: hello  there"
    assert now() == 2.5


@virtual
async def test_echo_of_its_own_first_word_keeps_the_space() -> None:
    """Only the first word has none before it."""
    assert "".join(await reply(Echo(), "You")) == "You said: You"


@virtual
async def test_an_async_function_is_a_dialog_machine() -> None:
    """Its answer is the reply, in one piece."""

    async def answer(text: str) -> str:
        return text.upper()

    machine = from_callable(answer)
    assert isinstance(machine, DialogMachine)
    assert await reply(machine, "hi") == ["HI"]


@virtual
async def test_an_async_generator_function_is_a_dialog_machine() -> None:
    """Its answer is the reply, piece by piece."""

    async def answer(text: str) -> AsyncIterator[str]:
        for letter in text:
            yield letter

    assert await reply(from_callable(answer), "hi") == ["h", "i"]


@virtual
async def test_a_function_that_answers_none_says_nothing() -> None:
    """Silence, as an empty text of an endpoint is."""

    async def answer(text: str) -> None:
        return None

    assert await reply(from_callable(answer), "hi") == []


@virtual
async def test_who_makes_nothing_of_notes_is_given_none() -> None:
    """It has an `assist` for the sake of the SDK only; one of its own counts."""

    class Notes(Echo):
        def assist(self, text: str) -> None: ...

    taken = [Machine(machine).takes_notes for machine in (Echo(), Notes(), HttpDialog("http://x"))]
    assert taken == [False, True, True]
