"""Who may be dialled by a prefix: what is usual to dial there."""

from __future__ import annotations

import pytest

from orchestrator.config import Allow
from orchestrator.destinations import check_destination
from orchestrator.errors import ActionFailed


@pytest.mark.parametrize(
    ("prefix", "number", "is_open"),
    [
        ("+1", "+12125551234", True), ("+1", "+14165551234", True), ("+1", "+18005551234", True),
        ("+1", "+18765551234", False), ("+1", "+18095551234", False), ("+1", "+19005551234", False),
        ("+1876", "+18765551234", True), ("+1900", "+19005551234", True),
        ("+49", "+4930123456", True), ("+49", "+499001234567", False), ("+49900", "+499001234567", True),
        ("+44", "+442079460123", True), ("+44", "+449098790123", False),
        ("+4", "+4930123456", True), ("+4", "+499001234567", False),
        ("+49", "+49900123456", False), ("+49", "+49900312345678", False), ("+49", "+4911833", False),
        ("+49", "+49118331", False), ("+49", "+491801234567", False), ("+39", "+398991234567", False),
        ("+31", "+3190612345678", False), ("+44", "+44118500", False), ("+39", "+390612345678", True), ("+33", "+33612345678", True),
        ("+44", "+443001234567", True),
    ],
)  # fmt: skip
def test_a_countrys_code_opens_what_is_usual_to_dial_there(
    prefix: str, number: str, *, is_open: bool
) -> None:
    """`+1` is no word for Jamaica; a longer prefix says what it means."""
    allow = Allow(prefixes=(prefix,))
    if is_open:
        assert check_destination(number, allow, is_fixed=False) == number
    else:
        with pytest.raises(ActionFailed, match="as a prefix opens; add it to `allow: numbers`"):
            check_destination(number, allow, is_fixed=False)
    assert check_destination(number, Allow(numbers=(number,)), is_fixed=False) == number
