"""Who may be dialled: numbers in E.164, and allow-lists against toll fraud.

A number that the config's author wrote is trusted. One that carries text of a caller or of another
system is dialled only when the config's `allow` (or the step's own list) names it.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.config import Allow
from orchestrator.errors import ActionFailed

__all__ = ["check_destination", "normalize_number", "prepare_numbers"]


def normalize_number(number: str) -> str:
    """A number in E.164, checked with the numbering plans of libphonenumber.

    Raises:
        ActionFailed: it is not a possible international number.
    """
    import phonenumbers  # its metadata is large: only when something is dialled

    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        raise ActionFailed(f"{number!r} is no phone number in E.164 form") from None
    if parsed.extension or not phonenumbers.is_possible_number(parsed):
        raise ActionFailed(f"{number!r} is no phone number in E.164 form")
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def check_destination(
    number: str, allow: Allow, also: Sequence[str] = (), *, is_fixed: bool
) -> str:
    """The number in E.164, if it may be dialled.

    `is_fixed` says that the config's author wrote it.

    Raises:
        ActionFailed: it is no number, or no allow-list has it.
    """
    normal = normalize_number(number)
    if is_fixed or normal in allow.numbers or normal in also:
        return normal
    if any(_opens(prefix, normal) for prefix in allow.prefixes):
        return normal
    if any(map(normal.startswith, allow.prefixes)):
        why = "is not what a country's code as a prefix opens; add it to `allow: numbers`"
    else:
        why = "is on no allow-list; add it to `allow: numbers` or `prefixes`"
    raise ActionFailed(f"{normal} {why}")


#: Countries that share the code +1 and its prices; the others under it are dialled for much more.
_MAIN = {1: ("US", "CA")}
#: Kinds of numbers that cost what calls usually cost, by their names in libphonenumber.
_USUAL = ("FIXED_LINE", "MOBILE", "FIXED_LINE_OR_MOBILE", "VOIP", "TOLL_FREE", "UAN")


def _opens(prefix: str, number: str) -> bool:
    """Whether a prefix of `allow` has a number.

    One that is a country's code and nothing else opens what is usual to dial there: numbers that
    this country has given out, at no special rate, and none of the other countries under that code
    (+1 876 is Jamaica). One digit too many makes a number invalid, and networks ignore it: what
    is not valid is not usual. A longer prefix opens all that begins with it.
    """
    if not number.startswith(prefix):
        return False
    import phonenumbers

    parsed = phonenumbers.parse(number, None)
    code = parsed.country_code or 0
    if len(prefix) > len(f"+{code}"):
        return True
    kinds = [getattr(phonenumbers.PhoneNumberType, name) for name in _USUAL]
    main = _MAIN.get(code) or (phonenumbers.region_code_for_country_code(code),)
    return (
        phonenumbers.number_type(parsed) in kinds  # of what is not valid it is unknown
        and phonenumbers.region_code_for_number(parsed) in main
    )


def prepare_numbers() -> None:
    """Import the numbering plans."""
    import phonenumbers  # noqa: F401 - what the first number to dial would import
