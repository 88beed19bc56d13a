"""Templates and conditions: `{{ }}` in texts, and `when` expressions.

Jinja's lexer and parser read an expression; an allow-list turns its tree into ours (`parse`); the
checker gives it a type (`check`); the code generator makes it a function (`codegen`). Jinja never
compiles or evaluates anything: it folds constants while it compiles, so `{{ 7 ** 10 ** 6 }}` would
hit whoever validates it. Values are plain data, reached by key and index, and what comes out of a
template is never read as one again.

Differences from Jinja: a missing value and null fail in a text unless guarded; `default` guards
its whole path, and null; true and false are not numbers; a text is never repeated (`*`) or
formatted (`%`); in a text, booleans, lists and mappings are written as JSON; a final newline
stays; `\\d`, `\\b` and other unknown escapes keep their backslash.
"""

from orchestrator.templates.library import CALL_FIELDS, NOW_FIELDS
from orchestrator.templates.model import Fault, Read, Scope
from orchestrator.templates.proofs import Outcome, Outcomes, Proven
from orchestrator.templates.template import Template, parse_condition, parse_template

__all__ = [
    "CALL_FIELDS",
    "NOW_FIELDS",
    "Fault",
    "Outcome",
    "Outcomes",
    "Proven",
    "Read",
    "Scope",
    "Template",
    "parse_condition",
    "parse_template",
]
