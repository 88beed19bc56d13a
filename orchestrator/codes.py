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


YAML_CODES: Mapping[str, Code] = {
    "HK001": Code("The file is not valid YAML", "Nothing behind this place can be read, so no hook of the file would load.", "Look at the marked place and at the line above it: a missing comma, colon or quote is the usual reason."),
    "HK002": Code("The file is too large", "A config is written by people and read at every start; a file over 1 MB is generated data or the wrong file.", "Split it with `include`, and keep data in a database or behind a connection."),
    "HK003": Code("The file is not UTF-8 text", "Other encodings change names and spoken words without notice.", "Save the file as UTF-8 in your editor."),
    "HK004": Code("A character that cannot be seen and is not allowed", "Control characters and odd line separators come with text that was pasted; they break lines where no editor shows it.", "Delete the character; where it is meant, write it as an escape in double quotes, such as \"\\u2028\"."),
    "HK005": Code("A tab is used for indentation", "YAML counts spaces; how wide a tab is differs between editors, so it is refused.", "Indent with spaces, two for each level."),
    "HK006": Code("Wrong indentation", "Indentation decides which key belongs to which step; a line between two levels belongs to none.", "Line the keys of one mapping up exactly, and the dashes of one list."),
    "HK007": Code("A template without quotes", "In YAML a `{` starts a mapping, so `say: {{ data.name }}` is not text.", "Put the whole value in quotes: `say: \"{{ data.name }}\"`."),
    "HK008": Code("A colon and a space in text without quotes", "`: ` separates a key from its value, so `say: Note: hello` has two keys on one line.", "Put the whole value in quotes: `say: \"Note: hello\"`."),
    "HK009": Code("Text starts with a character that YAML keeps for itself", "`@`, backtick, `%`, `*`, `&`, `!`, `|` and `>` at the start of a value mean something to YAML.", "Put the whole value in quotes."),
    "HK010": Code("A quote is never closed", "The text runs on over the lines that follow and swallows their keys.", "Close the quote where the text ends, on the marked line."),
    "HK011": Code("A colon, or the space after it, is missing", "`say:hello` is one word to YAML; only `say: hello` is a key with a value.", "Write `key: value`, with a space after the colon."),
    "HK012": Code("Curly quotes around a value", "Curly quotes come from word processors; to YAML they are part of the text, so they would be spoken or sent.", "Use straight quotes, \" or '."),
    "HK013": Code("A space that is not a plain space", "A no-break space looks like a space but neither indents nor separates; it becomes part of the key or value.", "Replace it by a plain space."),
    "HK014": Code("A key is written twice", "YAML readers keep one of the two without a word, so half of the hooks would be lost.", "Join the two, or rename one."),
    "HK015": Code("A key is not text", "`true:`, `1:` or `[a]:` are no names; JSON and templates could not read them.", "Put the key in quotes if it is meant as text."),
    "HK016": Code("A merge key", "`<<` hides where an option comes from and overrides by rules that few people know; YAML 1.2 has dropped it.", "Write options that many steps share under `defaults`, and steps that many hooks share as a chain."),
    "HK017": Code("An alias that no anchor defines", "`*name` repeats the node marked `&name` earlier in the file.", "Mark the node with `&name` before its first use, or put the value in quotes if a star is meant."),
    "HK018": Code("An alias inside of its own anchor", "The value would contain itself without end.", "Move the alias out of the node that carries its anchor."),
    "HK019": Code("An anchor is defined twice", "Which of the two an alias means would depend on its place.", "Give each anchor a name of its own."),
    "HK020": Code("Too many values", "Aliases can repeat aliases until memory runs out; a config holds at most 100,000 values after all aliases are followed.", "Use fewer aliases; share steps through chains."),
    "HK021": Code("Nested too deeply", "A config is at most 64 levels deep, aliases included; more is a mistake or an attack.", "Move inner steps into chains."),
    "HK022": Code("A tag", "Tags such as `!!python/object` choose how a value is built; a config is plain data, and no tag is allowed.", "Remove the tag; put the value in quotes if it is text."),
    "HK023": Code("A second document in the file", "Only the first would be read.", "Remove the `---` line and what does not belong, or put it in a file of its own and `include` it."),
    "HK024": Code("The file is empty", "There is no hook in it.", "Start with `version: 1`; `orchestrator init` writes a commented example."),
    "HK025": Code("The top level is not a mapping", "A config is a mapping of `version`, `session` and so on.", "Start the file with `version: 1`, each part under its own key."),
    "HK026": Code("A number is too large", "A number of this size cannot be calculated with or sent on exactly.", "Put it in quotes if it is an identifier."),
    "HK027": Code("A bracket is not closed, or does not fit", "Inside of `[...]` and `{...}` items are separated by commas up to the closing bracket.", "Close the bracket, or put the text in quotes if the bracket belongs to it."),
    "HK028": Code("Text after a closing quote or bracket", "The value ends with its quote or bracket, so what follows belongs to nothing; often a quote inside of the text has ended it.", "Put the whole value in quotes, and use the other kind of quote inside of it."),
    "HK029": Code("An escape that YAML does not know", "In double quotes a backslash starts an escape such as `\\n`.", "Double the backslash, or use single quotes, where a backslash is plain text."),
}  # fmt: skip

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
