"""Every code that a finding can carry, with what `orchestrator explain-code` says about it.

A code never changes its meaning; a retired code is not used again. Ranges:

- HK0xx  the YAML itself: text, scalars, anchors, limits
- HK1xx  structure and types: keys, values, options
- HK2xx  names and references: events, actions, connections, chains, data, steps
- HK3xx  templates and conditions
- HK4xx  time, order and what a call can bear
- HK5xx  safety: secrets, untrusted text, destinations
- HK6xx  the environment (`--check-env`)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["CODES", "Code"]


class Code(NamedTuple):
    """What a code means: a title, why it matters, and how to mend it."""

    title: str
    why: str
    mend: str


YAML_CODES: Mapping[str, Code] = {}

STRUCTURE_CODES: Mapping[str, Code] = {}

NAME_CODES: Mapping[str, Code] = {}

TEMPLATE_CODES: Mapping[str, Code] = {}

CALL_CODES: Mapping[str, Code] = {}

SAFETY_CODES: Mapping[str, Code] = {}

ENVIRONMENT_CODES: Mapping[str, Code] = {}

CODES: Mapping[str, Code] = {
    **YAML_CODES,
    **STRUCTURE_CODES,
    **NAME_CODES,
    **TEMPLATE_CODES,
    **CALL_CODES,
    **SAFETY_CODES,
    **ENVIRONMENT_CODES,
}
