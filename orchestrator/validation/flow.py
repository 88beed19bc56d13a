"""Data flow over a whole config: the hooks in the order in which their events come.

What the hooks of the two `call_start` events surely save is known in all later ones; within one
event each hook knows what the hooks before it have saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import groupby

from orchestrator.config import Config, HookConfig
from orchestrator.shapes import ANY_RECORD
from orchestrator.validation.ending import Target
from orchestrator.validation.everywhere import Everywhere, survey
from orchestrator.validation.findings import Findings
from orchestrator.validation.known import Known, merge
from orchestrator.validation.templates import TemplateChecker
from orchestrator.validation.truth import check_truth
from orchestrator.validation.visits import ValueChecker, Visit
from orchestrator.validation.walk import HookWalk

__all__ = ["check_flow"]

#: Events that come once, before all others of the call.
_FIRST = (("runner", "call_start"), ("session", "call_start"))


def check_flow(
    config: Config,
    findings: Findings,
    lost: AbstractSet[str] = frozenset(),
    variables: Mapping[str, str] | None = None,
) -> list[Visit]:
    """Check every template of a config; what was visited, for further checks.

    `lost` has the names that broken steps would have saved: nothing is said about them.
    """
    everywhere, visits = survey(config, lost, variables), list[Visit]()
    checker = TemplateChecker(findings, check_truth(config, findings))
    first: Known = {}
    done: Counter[Target] = Counter()
    for pair, group in groupby(_in_order(config), key=lambda hook: (hook.scope, hook.event)):
        known: Known = dict(first)
        hooks = list(group)
        event = everywhere.event_shape(hooks[0])
        for hook in hooks:
            values = ValueChecker(checker, hook, visits)
            saved = HookWalk(
                config, hook, values, everywhere, known, event, pair in _FIRST, done
            ).run()
            lasting = {
                key: replace(s, shape=s.lasting, is_sure=True)
                for key, s in saved.items()
                if s.lasting is not None
            }
            known.update({**merge({}, saved, known), **lasting})
        if pair in _FIRST:
            first = known
    _check_unused_chains(config, everywhere, checker, visits)
    return visits


def _in_order(config: Config) -> list[HookConfig]:
    """Hooks by event, the two `call_start` first, each event's in the order written."""
    rank: dict[tuple[str, str], int] = {pair: i for i, pair in enumerate(_FIRST)}
    for hook in config.hooks:
        rank.setdefault((hook.scope, hook.event), len(rank))
    return sorted(config.hooks, key=lambda hook: rank[hook.scope, hook.event])


def _check_unused_chains(
    config: Config, everywhere: Everywhere, checker: TemplateChecker, visits: list[Visit]
) -> None:
    """Chains that no hook runs are checked as if any event could run them."""
    used = {str(s.options["run"].raw) for s in config.steps() if s.kind == "run"}
    for name, chain in config.chains.items():
        if name in used or not chain.steps:
            continue
        hook = HookConfig(f"chain.{name}", name, "session", "chain", chain.place, chain.steps)
        known = {key: replace(s, is_sure=True) for key, s in everywhere.saved.items()}
        event = ANY_RECORD
        values = ValueChecker(checker, hook, visits)
        HookWalk(config, hook, values, everywhere, known, event).run()
