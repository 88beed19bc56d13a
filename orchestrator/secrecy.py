"""Secrets are cut out of a delivery before it is stored, and put back at each attempt.

What a step writes as `${SLACK_TOKEN}` into a URL, a header or a body would else lie in the outbox's
file, and would still be the old one after the secret was rotated. A cut is remembered by its place
beside the delivery, never by a mark in its text, which a caller could say too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from orchestrator.action import Cut, Delivery
from orchestrator.errors import ActionFailed
from orchestrator.journal import Redactor
from orchestrator.written import telling, written

__all__ = ["Secrecy"]

#: Characters below which a value is no secret, and would be cut out of everything.
SHORTEST = 4


class Secrecy:
    """Knows the secret values by the names of their variables.

    `reason` says what an exception says, as it may be stored and logged: `redactor` cleans it.
    """

    def __init__(self, values: Mapping[str, str], redactor: Redactor | None = None) -> None:
        self._values = dict(values)
        self.reason = (redactor or Redactor(tuple(values.values()))).reason
        self._cuts: dict[str, tuple[str, str]] = {}
        for name, value in values.items():
            if len(value) >= SHORTEST:
                for form, text in _forms(value).items():
                    self._cuts.setdefault(text, (name, form))
                    self._cuts.setdefault(_as_bytes(text), (name, form))
        found = "|".join(map(re.escape, sorted(self._cuts, key=len, reverse=True)))
        self._pattern = re.compile(found) if found else None

    def conceal(self, delivery: Delivery) -> Delivery:
        """The delivery without secrets, its cuts listed."""
        if self._pattern is None:
            return delivery
        cuts: list[Cut] = []
        url = self._cut(delivery.url, "url", cuts)
        headers = {
            name: self._cut(value, f"header:{name}", cuts)
            for name, value in delivery.headers.items()
        }
        body = self._cut(delivery.body.decode("latin-1"), "body", cuts)
        if not cuts:
            return delivery
        return replace(
            delivery, url=url, headers=headers, body=body.encode("latin-1"), cuts=tuple(cuts)
        )

    def _cut(self, text: str, part: str, cuts: list[Cut]) -> str:
        kept, end, length = [], 0, 0
        assert self._pattern is not None  # noqa: S101 - `conceal` looked
        for match in self._pattern.finditer(text):
            variable, form = self._cuts[match[0]]
            stays = _split_url(match[0])[0] if form == _TAIL else ""
            kept += [text[end : match.start()], stays]
            length += match.start() - end + len(stays)
            end = match.end()
            cuts.append(Cut(part, length, variable, form))
        return "".join([*kept, text[end:]]) if kept else text

    def reveal(self, delivery: Delivery) -> Delivery:
        """The delivery with the secrets as they are now.

        Raises:
            ActionFailed: a variable is no longer set; another try may find it.
        """
        if not delivery.cuts:
            return delivery
        headers = {
            name: self._fill(value, f"header:{name}", delivery.cuts)
            for name, value in delivery.headers.items()
        }
        body = self._fill(delivery.body.decode("latin-1"), "body", delivery.cuts)
        url = self._fill(delivery.url, "url", delivery.cuts)
        return replace(delivery, url=url, headers=headers, body=body.encode("latin-1"), cuts=())

    def knows(self, delivery: Delivery) -> bool:
        """Whether it has a value for each secret that was cut out of a delivery."""
        return all(cut.variable in self._values for cut in delivery.cuts)

    def _fill(self, text: str, part: str, cuts: tuple[Cut, ...]) -> str:
        for cut in reversed([cut for cut in cuts if cut.part == part]):
            value = self._values.get(cut.variable)
            if value is None:
                raise ActionFailed(
                    f"the variable {cut.variable} is not set", retryable=True, is_plain=True
                )
            before, after = text[: cut.offset], text[cut.offset :]
            if cut.form == _TAIL:
                origin, value = _split_url(value)
                is_host = part == "url" and _split_url(before) == (before, "")
                before = origin if is_host else before  # the host may have changed too
            else:
                value = written(value)[cut.form]
            text = before + (_as_bytes(value) if part == "body" else value) + after
        return text


_URL = re.compile(r"(https?://[^/?#@]+)(.*)", re.IGNORECASE | re.DOTALL)
#: The form of a secret URL of which the scheme and host stay: by them deliveries are told apart.
_TAIL = "tail"


def _split_url(value: str) -> tuple[str, str]:
    """A URL's scheme and host, and the rest; of what is none, nothing and the whole."""
    match = _URL.fullmatch(value)
    return (match[1], match[2]) if match is not None else ("", value)


def _forms(value: str) -> Mapping[str, str]:
    """How a secret may look in a delivery; of a whole URL only what follows its host is cut."""
    origin, tail = _split_url(value)
    if not origin:
        return telling(value)
    forms = {form: text for form, text in telling(value).items() if not text.startswith(origin)}
    return {**forms, _TAIL: value} if len(tail) >= SHORTEST else forms


def _as_bytes(text: str) -> str:
    """A text as it looks in a body that is handled with one character for each byte."""
    return text.encode().decode("latin-1")
