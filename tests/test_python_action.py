"""The `python` action: what a function gets, and what is found wrong with it beforehand."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from orchestrator.action import ActionFailed, bind_arguments
from tests.cli import run_cli
from tests.kit import run


async def tier(ctx: Any, plan: str) -> str:
    return f"{type(ctx).__name__} {plan}"


async def whole(ctx: Any, text: str, language: Any = None, *, extra: int = 0) -> list[Any]:
    return [text, extra]


async def middle(ctx: Any, extra: int, text: str) -> list[Any]:
    return [extra, text]


def plain(*given: Any, **named: Any) -> list[Any]:
    return [len(given), named]


async def no_context() -> str:
    return "alone"


async def keyword_needed(ctx: Any, *, key: str) -> str:
    return key


async def generator(ctx: Any) -> AsyncIterator[int]:
    yield 1


class Klass:
    def __init__(self, ctx: Any) -> None:
        self.ctx = ctx


@pytest.fixture(autouse=True)
def mine(monkeypatch: pytest.MonkeyPatch) -> None:
    """These functions, as `mine:name`."""
    module = ModuleType("mine")
    for thing in (tier, whole, middle, plain, no_context, keyword_needed, generator, Klass):
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "mine", module)


CALLS: dict[str, tuple[str, Any]] = {
    "an argument by name, in place of the event's": (
        "{call: mine:tier, args: {plan: gold}}", "StepContext gold"),
    "a keyword-only one": ("{call: mine:whole, args: {extra: 2}}", ["hi", 2]),
    "one between": ("{call: mine:middle, args: {extra: 3}}", [3, "hi"]),
    "anything": ("{call: mine:plain, args: {a: 1}}", [4, {"a": 1}]),
    "nothing": ("mine:no_context", "alone"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_named_arguments_are_left_out_of_those_by_place(name: str) -> None:
    """The context and the event's fields go to the parameters that `args` does not name."""
    written, wanted = CALLS[name]
    played = run(
        f"session:\n  user_turn:\n    - python: {written}\n      save: out\n",
        [{"t": 1, "user_turn": "hi"}],
    )
    if name == "anything":
        assert played.data["out"][1] == {"a": 1}
        assert played.data["out"][0] >= 2
    else:
        assert played.data["out"] == wanted


FAULTS = {
    "mine:tier": ("needs an argument", "call_end", "{}"),
    "mine:whole": ("takes no argument txt", "user_turn", "{txt: 1}"),
    "mine:keyword_needed": ("needs an argument `key`", "user_turn", "{}"),
    "mine:generator": ("is a generator", "user_turn", "{}"),
    "mine:Klass": ("is a class", "user_turn", "{}"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_would_fail_in_every_call_is_found_before(name: str, tmp_path: Path) -> None:
    """By `validate --check-env`, with what the function gets."""
    words, event, args = FAULTS[name]
    event = "interruption" if event == "call_end" else event
    config = tmp_path / "c.yaml"
    config.write_text(
        f"version: 1\nsession:\n  {event}:\n    - python: {{call: '{name}', args: {args}}}\n"
    )
    ran = run_cli("validate", "--check-env", config)
    assert ran.code == 1
    assert "HK605" in ran.out
    assert words in ran.out


@pytest.mark.parametrize(("written", "_wanted"), CALLS.values())
def test_good_calls_have_no_finding(written: str, _wanted: Any, tmp_path: Path) -> None:
    """On our events and on custom ones, whose fields are not known."""
    config = tmp_path / "c.yaml"
    config.write_text(
        f"version: 1\nsession:\n  user_turn:\n    - python: {written}\n"
        f"    - emit: {{event: custom.x, fields: {{text: hi}}}}\n"
        f"  custom.x:\n    - python: {written}\n"
    )
    ran = run_cli("validate", "--check-env", "--deny-warnings", config)
    assert ran.code == 0, ran.out


def test_a_position_only_parameter_is_never_given_by_name() -> None:
    """It takes what comes in order; the name is unknown."""

    def function(a: int, /, b: int) -> None: ...

    bound = bind_arguments(function, [1, 2], {})
    assert (bound.args, bound.kwargs) == ((1, 2), {})
    with pytest.raises(ActionFailed, match="takes no argument a"):
        bind_arguments(function, [1, 2], {"a": 3})
