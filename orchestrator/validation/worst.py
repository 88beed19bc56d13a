"""The worst of several waits of which not all can come together.

Hooks and steps under conditions that exclude each other, such as the digits of a menu, cost the
caller the longest of them only. So do those that look for different words in one turn: a caller
asks for one thing at a time, and the sum of all that could be asked for says nothing of a turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.config import HookConfig, StepConfig
from orchestrator.frozen import frozen
from orchestrator.templates import Template, parse_condition
from orchestrator.templates.logic import Claims, exclude, words_asked_for

__all__ = ["STEADY", "Piece", "beside", "claims_on", "worst_of"]

#: Waits that are looked at, and ways that are tried; beyond them all are added, which is never
#: too little.
_MAX_PIECES, _MAX_TRIES = 100, 2_000
#: Names whose values stay as they are while the hooks of an event run.
STEADY = ("event.", "vars.", "now.", "call.direction", "call.turns", "call.user_number")


@frozen
class Piece:
    """What one step may cost, in seconds, and what has to be so that it runs."""

    cost: float
    step: StepConfig
    claims: Claims

    def excludes(self, other: Piece) -> bool:
        """Whether only one of the two can come."""
        return exclude(self.claims, other.claims)


def claims_on(hook: HookConfig, step: StepConfig, branch: bool | None) -> Claims:
    """What has to be so that a step of a hook runs; `branch` is that of an `if` which waits."""
    conditions: list[tuple[Template, bool]] = [
        (condition.template, True) for condition in (hook.when, step.when) if condition is not None
    ]
    if branch is not None:
        conditions.append((parse_condition(str(step.options["if"].raw)), branch))
    groups = [group for template, truth in conditions for group in template.claims(truth)]
    steady = [group for group in groups if group[0].subject.startswith(STEADY)]
    return (*steady, *words_asked_for(tuple(steady)))


def beside(piece: Piece, others: Sequence[Piece]) -> Sequence[Piece]:
    """The other pieces that may come together with one."""
    if len(others) > _MAX_PIECES:
        return others
    return [other for other in others if not other.excludes(piece)]


def worst_of(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces that can come together and cost most, in their order."""
    if len(pieces) > _MAX_PIECES:
        return list(pieces)
    tries = [_MAX_TRIES]
    chosen = _best(tuple(sorted(pieces, key=lambda piece: -piece.cost)), tries)
    kept = {id(piece) for piece in (pieces if tries[0] < 0 else chosen)}
    return [piece for piece in pieces if id(piece) in kept]


def _best(pieces: tuple[Piece, ...], tries: list[int]) -> tuple[Piece, ...]:
    """The best choice among some pieces, the most expensive first."""
    chosen: tuple[Piece, ...] = ()
    while pieces:
        first, rest = pieces[0], pieces[1:]
        others = tuple(beside(first, rest))
        if len(others) == len(rest):  # it can come with all of them
            chosen, pieces = (*chosen, first), rest
            continue
        tries[0] -= 1
        if tries[0] < 0:
            return (*chosen, *pieces)
        ways = ((first, *_best(others, tries)), _best(rest, tries))
        return (*chosen, *max(ways, key=_total))
    return chosen


def _total(pieces: Sequence[Piece]) -> float:
    return sum(piece.cost for piece in pieces)
