"""Numbers as options of the command line: they can be counted to."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from orchestrator.cli import COMMANDS, group
from orchestrator.cli.numbers import FiniteRange
from tests.cli import run_cli

NONE = ["nan", "NaN", "+nan", "inf", "-inf", "Infinity", "1e999", "9" * 400, "x", "", "-1"]


def options(command: click.Command, name: str) -> Iterator[tuple[str, click.Option]]:
    """All options of a command and of those below it."""
    if isinstance(command, click.Group):
        for inner, below in command.commands.items():
            yield from options(below, f"{name} {inner}")
    for option in command.params:
        if isinstance(option, click.Option):
            yield name, option


FOUND = [
    (name, option)
    for command in COMMANDS
    if (made := group.get_command(click.Context(group), command)) is not None
    for name, option in options(made, command)
]
FRACTIONS = [(n, o) for n, o in FOUND if isinstance(o.type, FiniteRange)]


def test_every_number_with_a_fraction_is_of_the_one_type() -> None:
    """No option takes what click alone takes for a number."""
    assert {name for name, _ in FRACTIONS} >= {"serve", "deliver", "test"}
    plain = (click.types.FloatParamType, click.FloatRange)
    assert not [
        (name, option.name) for name, option in FOUND
        if isinstance(option.type, plain) and not isinstance(option.type, FiniteRange)
    ]  # fmt: skip


@pytest.mark.parametrize("given", NONE)
@pytest.mark.parametrize(("name", "option"), FRACTIONS, ids=[f"{n} {o.name}" for n, o in FRACTIONS])
def test_what_nobody_can_count_to_is_wrong_usage(
    name: str, option: click.Option, given: str
) -> None:
    """Exit code 2 and the option's name, before anything is begun."""
    ran = run_cli(*name.split(), "none.yaml", option.opts[0], given)
    assert ran.code == 2
    assert option.opts[0] in ran.err


@pytest.mark.parametrize("given", ["nan", "inf"])
def test_variables_are_numbers_too(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the option that they stand for."""
    monkeypatch.setenv("ORCHESTRATOR_DRAIN", given)
    assert run_cli("serve", "none.yaml").code == 2
