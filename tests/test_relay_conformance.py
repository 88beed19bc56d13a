"""ConversationRelay passes the conformance suite, at both carriers."""

from __future__ import annotations

import pytest

from orchestrator.testing.conformance import CASES, Carrier, Case, run_case
from tests.relay_carriers import CARRIERS

#: What the wire has not (a broken connection is not dialled again, outcomes are always told), and
#: what our carriers do not tell.
NOT_FOR_IT = {
    "can transfer.outcome", "cannot redial", "cannot interrupt", "cannot filler",
    "cannot recording", "cannot transfer.agent", "cannot voicemail", "cannot metric", "cannot tools",
    "its far side cannot tell notes",
    "its far side cannot tell transfer.warm",
}  # fmt: skip


@pytest.mark.parametrize(
    ("carrier", "case"),
    [pytest.param(carrier, case, id=f"{carrier.name}-{case.name.partition(':')[0]}")
     for carrier in CARRIERS for case in CASES
     if case.applies_to(carrier.can, carrier.untold) not in NOT_FOR_IT],
)  # fmt: skip
def test_conformance(carrier: Carrier, case: Case) -> None:
    """The same call, the same journal."""
    result = run_case(case, carrier)
    assert result.status == "passed", f"{result.reason}\n" + "\n".join(result.story)
