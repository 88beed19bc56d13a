"""The conformance suite on the runtimes whose packages are installed here."""

from __future__ import annotations

import pytest

from orchestrator.testing.conformance import CASES, Carrier, Case, run_case
from tests.runtimes.carriers import CARRIERS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.partition(":")[0])
@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.name)
def test_conformance(carrier: Carrier, case: Case) -> None:
    """The same call, the same journal."""
    result = run_case(case, carrier)
    if result.status == "not applicable":
        assert result.reason == case.applies_to(
            carrier.can, getattr(carrier, "untold", frozenset())
        )
    else:
        assert result.status == "passed", f"{result.reason}\n" + "\n".join(result.story)
