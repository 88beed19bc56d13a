"""Annotated fields -> options: what they take, and the conversion of rendered values.

Actions and connections declare fields; they are read once, at load, and everything else
(validation, the editor schema, the documents, the values given to `run`) comes from the table.
"""

from orchestrator.options.converting import convert
from orchestrator.options.option import NO_DEFAULT, Option, OptionKind, Schema, field_name
from orchestrator.options.reading import options_of
from orchestrator.options.shown import shown_options

__all__ = [
    "NO_DEFAULT", "Option", "OptionKind", "Schema", "convert", "field_name", "options_of",
    "shown_options",
]  # fmt: skip
