"""Transcripts inside of texts: a long call makes the text too long, and its step fails."""

from __future__ import annotations

import re

from orchestrator.config import Config
from orchestrator.validation.findings import Findings

__all__ = ["check_transcripts"]

#: Options whose values are shortened when they are too large, where they are values of their own.
_SHORTENED = {"webhook": ("json", "body"), "crm_write": ("values",)}
_ALONE = re.compile(r"\s*\{\{\s*call\.transcript\s*\}\}\s*")
_AS_TEXT = re.compile(r"call\.transcript\s*(?:(?=\}\})|\|\s*(?:tojson|string)\b)")


def check_transcripts(config: Config, findings: Findings) -> None:
    """Report transcripts that are put together with other text in what must be delivered."""
    for step in config.steps():
        for name in _SHORTENED.get(step.word, ()):
            if name not in step.options:
                continue
            for value in step.options[name].walk():
                text = value.raw if isinstance(value.raw, str) else ""
                match = _AS_TEXT.search(text)
                if match is None or _ALONE.fullmatch(text):
                    continue
                on = value.place.inside(text, match.start(), match.end() - match.start())
                message = "a long call makes this text too long, and the step fails"
                hint = 'give it a value of its own, `"{{ call.transcript }}"`: that is shortened'
                findings.at(value.place, "HK515", message, on=on, severity="warning", help=hint)
