"""What a journal does not show: secrets, and what people said and who they are if it is private."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from orchestrator.digits import hide_digits, hide_heard
from orchestrator.errors import ActionFailed, PlainWords, words
from orchestrator.plain import plain
from orchestrator.written import anywhere, packed

__all__ = ["Redactor"]


def _what(value: Any) -> str:
    return f"(a {type(value).__name__} that a journal cannot hold)"


#: An id that we gave to a side effect: made of nothing that anybody said.
_OWN_ID = re.compile(r"msg_[0-9a-f]{32}")


@lru_cache(maxsize=32)  # each call has a redactor, and the secrets are those of its config
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    texts = {text for secret in secrets for text in (secret, secret.strip()) if text}
    longest = sorted(texts, key=len, reverse=True)
    found = [way for text in longest for way in (anywhere(text), *packed(text))]
    return re.compile("|".join(found)) if found else None


class Redactor:
    """Masks secrets always; speech, numbers and saved values when `is_private`.

    `names` are words that the config's author wrote: timers, reasons, addresses, the keys of
    mappings. They stay readable; keys that came from elsewhere do not.
    """

    def __init__(
        self,
        secrets: Sequence[str] = (),
        *,
        is_private: bool = False,
        names: frozenset[str] = frozenset(),
    ) -> None:
        self.is_private = is_private
        self.hides_digits = False
        self.heard = ""
        self._names = names
        self._secrets = _pattern(frozenset(secrets))

    @property
    def masks(self) -> bool:
        """Whether it hides anything else than secrets."""
        return self.is_private or self.hides_digits or bool(self.heard)

    def without_masks(self) -> Redactor:
        """One that masks secrets only."""
        other = copy.copy(self)
        other.is_private = other.hides_digits = False
        other.heard = ""
        return other

    def without_digits(self) -> Redactor:
        """The same, which also hides all digits: for what is said while a recording is paused."""
        other = copy.copy(self)
        other.hides_digits = True
        return other

    def without_heard(self, heard: str) -> Redactor:
        """The same, which also hides digits that were heard while the recording was paused."""
        other = copy.copy(self)
        other.heard = heard
        return other

    def secret(self, value: Any) -> Any:
        """The value with every secret in its texts, keys included, as `***`."""
        if isinstance(value, str):
            text = self._credentials(value)
            if self.hides_digits:
                return hide_digits(text)
            return hide_heard(text, self.heard) if self.heard else text
        if isinstance(value, Mapping):
            return {self.secret(str(k)): self.secret(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.secret(item) for item in value]
        return value if value is None or value is True or value is False else self._other(value)

    def played(self, value: Any) -> Any:
        """What can be played instead of a value whose digits are hidden: zeros, as it had them."""
        if isinstance(value, str):
            text = self._credentials(value)
            if self.hides_digits:
                return hide_digits(text, "0", "zero")
            return hide_heard(text, self.heard, "0", "zero")
        if isinstance(value, Mapping):
            return {self.played(str(k)): self.played(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.played(item) for item in value]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return 0 if is_number and self.personal(value) != value else value

    def _credentials(self, text: str) -> str:
        return self._secrets.sub("***", text) if self._secrets else text

    def _other(self, value: Any) -> Any:
        """A number, or whatever an embedding program put into the data of a call, as plain data."""
        try:
            data = plain(value)
        except Exception:  # noqa: BLE001 - its own methods may be at fault
            return f"({value} is no number)" if isinstance(value, float) else _what(value)
        return data if isinstance(data, (int, float)) else self.secret(data)

    def name(self, text: str) -> str:
        """A name or reason: as it is where the config's author wrote it, else as what it holds."""
        return text if text in self._names else str(self.personal(text))

    def personal(self, value: Any) -> Any:
        """Under `privacy: redact`, texts as their length and numbers of people as their end."""
        if isinstance(value, PlainWords):
            return self._credentials(value)
        value = self.secret(value)
        if self.is_private:
            return self._mask(value)
        return self._numbers(value) if self.hides_digits or self.heard else value

    def reason(self, error: BaseException) -> str:
        """What an exception says, as it may be logged and stored: the one place for that."""
        said = str(self.personal(words(error)))
        return said if isinstance(error, ActionFailed) else f"{type(error).__name__}: {said}"

    def parts(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """`personal` for each part of a mapping whose own keys are the config's or ours."""
        return {str(self.secret(str(k))): self.personal(v) for k, v in value.items()}

    def _mask(self, value: Any) -> Any:
        if isinstance(value, str):
            return value if _OWN_ID.fullmatch(value) else f"[{len(value)} characters]"
        if isinstance(value, Mapping):
            return {
                k if k in self._names else f"[key {number}]": self._mask(v)
                for number, (k, v) in enumerate(value.items(), start=1)
            }
        if isinstance(value, list):
            return [self._mask(item) for item in value]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return "[number]" if is_number else value

    def _numbers(self, value: Any) -> Any:
        """The value without the numbers that are made of digits to hide."""
        if isinstance(value, Mapping):
            return {k: self._numbers(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._numbers(item) for item in value]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value
        if self.hides_digits:
            return hide_digits(str(value))
        shown = f"n{value}"  # as a part of a text: a count of one or two digits is no secret
        hidden = hide_heard(shown, self.heard)
        return value if hidden == shown else hidden[1:]
