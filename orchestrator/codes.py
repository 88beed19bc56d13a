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

NAME_CODES: Mapping[str, Code] = {
    "HK201": Code(
        "unknown name in a template",
        "A template sees `event`, `call`, `data`, `vars`, `steps`, `memory` and `now`, and `error` in `on_error` steps. Any other name would fail on every call.",
        "Write the whole path, such as `data.customer`; put text in quotes.",
    ),
    "HK202": Code(
        "unknown field in a template",
        "The value has no such field, so the template would fail on every call.",
        "Use one of the fields that the finding lists, or guard the path with `default`.",
    ),
    "HK203": Code(
        "a value that may be missing or null",
        "Reading on from null, or speaking it, fails on the calls where the value is not there.",
        "Add `| default('...')`, or ask for the value first: `data.customer and data.customer.tier == 'gold'`.",
    ),
    "HK204": Code(
        "a name that is not known in this place",
        "Some names exist in some places only: `error` in `on_error` steps, `event` in hooks.",
        "Move the template to where the name is known, or save the value with `set` first.",
    ),
    "HK205": Code(
        "unknown event in `call.count`",
        "Counting an event that never happens always gives 0.",
        "Use the name of an event, or `custom.<name>`.",
    ),
}

TEMPLATE_CODES: Mapping[str, Code] = {
    "HK301": Code(
        "a template that cannot be read",
        "The expression is not complete or not well formed.",
        "Look at the marked place: a missing quote, bracket or operator.",
    ),
    "HK302": Code(
        "`{{` without `}}`",
        "Everything after the braces would be taken for an expression.",
        "Close it with `}}`. To write the braces themselves, use `{{ '{{' }}`.",
    ),
    "HK303": Code(
        "a block or comment of Jinja",
        "Templates are expressions only: no `{% %}` and no `{# #}`.",
        "Use `{{ a if b else c }}`, or steps with `when`; comment in YAML with `#`.",
    ),
    "HK304": Code(
        "braces in a condition",
        "A `when` is an expression already.",
        "Leave the braces out: `when: call.turns > 2`.",
    ),
    "HK305": Code(
        "an operator of another language",
        "Expressions compare with `==` and join with `and`, `or` and `not`.",
        "Write the operator that the finding names.",
    ),
    "HK306": Code(
        "something that templates do not allow",
        "Powers, slices, computed keys and the like are not part of the language.",
        "Compute it in a `python` step and save the result.",
    ),
    "HK307": Code(
        "a call that does not exist",
        "Only `call.count`, `call.hour_in`, `call.weekday_in`, `memory.get` and `memory.count` can be called. Methods of values cannot.",
        "Use a filter, such as `| upper`, or a `python` step.",
    ),
    "HK308": Code(
        "unknown filter",
        "There is no filter of this name.",
        "Use one of those that the finding lists.",
    ),
    "HK309": Code(
        "unknown test",
        "There is no test of this name after `is`.",
        "Use one of those that the finding lists.",
    ),
    "HK310": Code(
        "wrong argument",
        "A filter, test or call got too few, too many or unfit arguments.",
        "Follow the usage in the finding.",
    ),
    "HK311": Code(
        "bad pattern",
        "Patterns are RE2, which matches in linear time, so that no speech can stall a call. It has no look-around and no back-references.",
        "Mend the marked part.",
    ),
    "HK312": Code(
        "a template that is too large",
        "Length, nesting and the number of parts are bounded.",
        "Save parts of it with `set` in steps before.",
    ),
    "HK313": Code(
        "a variable of the environment inside a template",
        "`${NAME}` is replaced when the file is loaded, templates run on calls; mixing them would make code out of a value.",
        "Put the variable into `vars` and read `vars.<name>`.",
    ),
    "HK320": Code(
        "a comparison that cannot be",
        "The two sides are of different kinds, so the comparison fails or never holds.",
        "Compare like with like, or convert with `| int`, `| float` or `| string`.",
    ),
    "HK321": Code(
        "a value of the wrong kind",
        "An operator or filter got a kind of value that it does not take.",
        "Convert the value, or join texts with `~`.",
    ),
    "HK322": Code(
        "a text that the value never is",
        "The value is one of a fixed set of texts, and this is not among them.",
        "Use one of the texts that the finding lists.",
    ),
    "HK323": Code(
        "a condition that is not true or false",
        "A text, number or list is not a condition; most often a comparison was forgotten.",
        "Compare it with something.",
    ),
    "HK324": Code(
        "a constant template",
        "The expression reads nothing, so it gives the same on every call.",
        "Write the value itself, or read a name.",
    ),
}

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
