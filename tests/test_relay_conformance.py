"""ConversationRelay passes the conformance suite, at both carriers."""

from __future__ import annotations

import pytest

from orchestrator.testing.conformance import CASES, Carrier, Case, run_case
from tests.relay_carriers import CARRIERS

#: What the wire has not: a broken connection is not dialled again, and outcomes are always told.
NOT_FOR_IT = ("can transfer.outcome", "cannot redial")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.partition(":")[0])
@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.name)
def test_conformance(carrier: Carrier, case: Case) -> None:
    """The same call, the same journal."""
    result = run_case(case, carrier)
    if result.status == "not applicable":
        assert result.reason in NOT_FOR_IT
    else:
        assert result.status == "passed", f"{result.reason}\n" + "\n".join(result.story)
