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

STRUCTURE_CODES: Mapping[str, Code] = {
    "HK101": Code("`version` is missing", "The version says how the rest of the file is read, today and after an update.", "Begin the file with `version: 1`."),
    "HK102": Code("An unknown version", "A file of another version may mean other things with the same words.", "Write `version: 1`, a plain number. A newer version needs a newer orchestrator."),
    "HK103": Code("A value of the wrong type", "The key takes another kind of value: a list of hooks or steps, a mapping, text, a number.", "Write what the finding asks for; each hook and each step begins with `- `."),
    "HK104": Code("Something is missing", "The action, hook or connection cannot work without it.", "Add the key that the finding names."),
    "HK105": Code("An unknown key", "A misspelt key would be ignored by a careless reader, and its setting lost.", "Use the suggested name, or one of those that are allowed."),
    "HK106": Code("A value out of range", "The value is of the right type, but too small or too large to make sense.", "Use a value in the range that the finding names."),
    "HK107": Code("Not one of the words that are allowed", "The key takes one of a few words.", "Use one of the words that the finding lists."),
    "HK108": Code("Not a duration", "A bare number could mean seconds or milliseconds, so every duration has its unit.", "Write `500ms`, `8s`, `2m` or `1h`."),
    "HK109": Code("Options that do not go together", "The options are fine one by one, but not in this combination.", "Leave one out, or add its partner, as the finding says."),
    "HK110": Code("A step without an action", "A step has exactly one action key; without it nothing happens.", "Name the action: `- say: ...`."),
    "HK111": Code("Two actions in one step", "Which of the two runs first would be anybody's guess.", "Make two steps of it, each with its own `- `."),
    "HK112": Code("Not a mapping", "A step is written as `action: options`, a hook as such a step or as a mapping with `do:`.", "Write `- say: \"...\"`; an action without options is `- interrupt: {}`."),
    "HK113": Code("Nothing in it", "An empty list or mapping does nothing, so something was forgotten.", "Add what belongs there, or remove the key."),
    "HK114": Code("A key in the wrong place", "The key exists, but belongs to another level: to the hook, the step, the action or an `if`.", "Move it as the finding says."),
    "HK115": Code("A word for true or false", "Only `true` and `false` are booleans; `yes`, `no`, `on` and `off` are text.", "Write `true` or `false`."),
    "HK116": Code("A number that stands for text", "Without quotes a phone number loses its `+` and leading zeros, and `1.10` becomes `1.1`.", "Put it in quotes."),
    "HK117": Code("A malformed environment reference", "`${...}` with anything but a name in it would be sent or spoken as it is.", "Write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$${` for the text itself."),
    "HK118": Code("A template where none can be", "The value is read when the config is loaded; no call is there whose data it could show.", "Write the value itself, or read the environment with `${NAME}`."),
    "HK119": Code("Not a name", "Names are read in templates and journals: letters, digits and `_`.", "Rename it."),
    "HK121": Code("A comment that ignores nothing", "The finding is gone, and the comment would hide the next one of its kind.", "Remove the code from the comment."),
    "HK122": Code("A template of the wrong type", "What the template gives cannot be converted to what the option takes, so the step would fail on every call.", "Read another value, or convert it, such as with `| int` or `| tojson`."),
    "HK123": Code("Not a URL or path", "Requests go to `https://host/path`; an option named `path` takes the part behind the host.", "Write it in that form."),
    "HK124": Code("A setting without effect", "This kind of step has nothing to save, to try again, to wait for or to cancel.", "Remove the setting."),
    "HK125": Code("A text of another form", "The option takes text of one form, such as `09:00-18:00`; what has another form fails on every call.", "Write it as the finding says."),
    "HK126": Code("A comment that looks like text", "` #` begins a comment where text has no quotes: `say: Your order #42` says \"Your order\" and no more.", "Put the whole text in quotes; of a comment, put a space behind the `#`."),
}  # fmt: skip

NAME_CODES: Mapping[str, Code] = {
    "HK201": Code(
        "Unknown name in a template",
        "A template sees `event`, `call`, `data`, `vars`, `steps`, `memory` and `now`, and `error` in `on_error` steps. Any other name would fail on every call.",
        "Write the whole path, such as `data.customer`; put text in quotes.",
    ),
    "HK202": Code(
        "Unknown field in a template",
        "The value has no such field, so the template would fail on every call.",
        "Use one of the fields that the finding lists, or guard the path with `default`.",
    ),
    "HK203": Code(
        "A value that may be missing or null",
        "Reading on from null, or speaking it, fails on the calls where the value is not there.",
        "Add `| default('...')`, or ask for the value first: `data.customer and data.customer.tier == 'gold'`.",
    ),
    "HK204": Code(
        "A name that is not known in this place",
        "Some names exist in some places only: `error` in `on_error` steps, `event` in hooks.",
        "Move the template to where the name is known, or save the value with `set` first.",
    ),
    "HK205": Code(
        "Unknown event in `call.count`",
        "Counting an event that never happens always gives 0.",
        "Use the name of an event, or `custom.<name>`.",
    ),
    "HK220": Code(
        "An unknown event",
        "A hook on an event that never happens never runs, and nobody notices.",
        "Use an event of that scope; `custom.<name>` is for your own.",
    ),
    "HK221": Code(
        "An unknown action",
        "No built-in, plugin or installed package has an action of this name.",
        "Use the suggested name, or add the plugin that defines it.",
    ),
    "HK222": Code(
        "An unknown connection",
        "The step names a connection that the config does not define.",
        "Define it under `connections`, or use one that is there.",
    ),
    "HK223": Code(
        "An unknown chain",
        "The step runs a chain that the config does not define.",
        "Define it under `chains`, or use one that is there.",
    ),
    "HK224": Code(
        "A file that cannot be included",
        "The config would be incomplete without it; a file that includes itself would have no end.",
        "Mend the path, which is relative to the including file, or remove the line.",
    ),
    "HK226": Code(
        "Not a function's name",
        "Functions are named `module:function`, such as `my_company.hooks:score`.",
        "Write it in that form.",
    ),
    "HK227": Code(
        "A name is used twice",
        "Journals, templates and other files could not tell the two apart.",
        "Rename one.",
    ),
    "HK228": Code(
        "Nothing saves this key",
        "No step of the config writes this key of `data`, so reading it fails unless the call brought it.",
        "Save it with `save` or `set`, or guard the read: `| default('...')`.",
    ),
    "HK229": Code(
        "A key that may not be saved yet",
        "The step that saves it may be skipped, may fail, or runs in another event.",
        "Guard the read with `| default('...')` or `is defined`, or save the key earlier.",
    ),
    "HK230": Code(
        "A key that is saved only later",
        "At this place of the call no step can have saved the key.",
        "Move the read behind the save, or guard it with `| default('...')`.",
    ),
    "HK231": Code(
        "A variable that nothing uses",
        "What is not used was forgotten, or its use was misspelt.",
        "Use it as `vars.<name>`, or remove it.",
    ),
    "HK232": Code(
        "A chain that nothing runs",
        "Its steps never run.",
        "Run it with `run: <name>`, or remove it.",
    ),
    "HK233": Code(
        "A connection that nothing uses",
        "Its credentials are needed for nothing.",
        "Use it, or remove it.",
    ),
    "HK234": Code(
        "A connection of the wrong kind",
        "The action needs another kind of outside system.",
        "Name a connection of the kind that the finding asks for.",
    ),
    "HK235": Code(
        "A timer written as an event",
        "Silence and elapsed time are not reported by the runtime; they are measured by timers.",
        "Start a `silence_timer` or `timer` in `call_start`.",
    ),
    "HK236": Code("A chain that runs itself", "Its steps would never end.", "Take the step out."),
    "HK237": Code(
        "An unknown timer",
        "No `timer` or `silence_timer` has this name, so there is nothing to cancel.",
        "Use the timer's `name`.",
    ),
    "HK238": Code("An event that nobody emits", "A step emits an event of nearly the same name, which no hook hears.", "Give both the same name."),
    "HK239": Code(
        "An event that nobody hears",
        "The event is emitted, and no hook of the config runs on it.",
        "Add a hook under `session: custom.<name>`, or remove the step.",
    ),
    "HK241": Code(
        "A guarded key that nothing saves",
        "The guard hides the mistake: the default would be used on every call.",
        "Use the suggested key, if that is what was meant.",
    ),
    "HK243": Code(
        "A key that nothing remembers",
        "The config remembers a key of nearly the same name, so what is asked for is never there.",
        "Use one name in both places.",
    ),
    "HK244": Code(
        "A count over a longer time than is remembered",
        "What is forgotten after a while cannot be counted beyond that.",
        "Keep it longer with `for`, or count over a shorter time.",
    ),
    "HK242": Code(
        "Too many steps",
        "Chains that run chains multiply; a hook has at most 10,000 steps in all, 64 levels deep.",
        "Run fewer chains inside of chains.",
    ),
}  # fmt: skip

TEMPLATE_CODES: Mapping[str, Code] = {
    "HK301": Code(
        "A template that cannot be read",
        "The expression is not complete or not well formed.",
        "Look at the marked place: a missing quote, bracket or operator.",
    ),
    "HK302": Code(
        "`{{` without `}}`",
        "Everything after the braces would be taken for an expression.",
        "Close it with `}}`. To write the braces themselves, use `{{ '{{' }}`.",
    ),
    "HK303": Code(
        "A block or comment of Jinja",
        "Templates are expressions only: no `{% %}` and no `{# #}`.",
        "Use `{{ a if b else c }}`, or steps with `when`; comment in YAML with `#`.",
    ),
    "HK304": Code(
        "Braces in a condition",
        "A `when` is an expression already.",
        "Leave the braces out: `when: call.turns > 2`.",
    ),
    "HK305": Code(
        "An operator of another language",
        "Expressions compare with `==` and join with `and`, `or` and `not`.",
        "Write the operator that the finding names.",
    ),
    "HK306": Code(
        "Something that templates do not allow",
        "Powers, slices, computed keys and the like are not part of the language.",
        "Compute it in a `python` step and save the result.",
    ),
    "HK307": Code(
        "A call that does not exist",
        "Only `call.count`, `call.hour_in`, `call.weekday_in`, `memory.get` and `memory.count` can be called. Methods of values cannot.",
        "Use a filter, such as `| upper`, or a `python` step.",
    ),
    "HK308": Code(
        "Unknown filter",
        "There is no filter of this name.",
        "Use one of those that the finding lists.",
    ),
    "HK309": Code(
        "Unknown test",
        "There is no test of this name after `is`.",
        "Use one of those that the finding lists.",
    ),
    "HK310": Code(
        "Wrong argument",
        "A filter, test or call got too few, too many or unfit arguments.",
        "Follow the usage in the finding.",
    ),
    "HK311": Code(
        "Bad pattern",
        "Patterns are RE2, which matches in linear time, so that no speech can stall a call. It has no look-around and no back-references.",
        "Mend the marked part.",
    ),
    "HK312": Code(
        "A template that is too large",
        "Length, nesting and the number of parts are bounded.",
        "Save parts of it with `set` in steps before.",
    ),
    "HK313": Code(
        "A variable of the environment inside a template",
        "`${NAME}` is replaced when the file is loaded, templates run on calls; mixing them would make code out of a value.",
        "Put the variable into `vars` and read `vars.<name>`.",
    ),
    "HK320": Code(
        "A comparison that cannot be",
        "The two sides are of different kinds, so the comparison fails or never holds.",
        "Compare like with like, or convert with `| int`, `| float` or `| string`.",
    ),
    "HK321": Code(
        "A value of the wrong kind",
        "An operator or filter got a kind of value that it does not take.",
        "Convert the value, or join texts with `~`.",
    ),
    "HK322": Code(
        "A text that the value never is",
        "The value is one of a fixed set of texts, and this is not among them.",
        "Use one of the texts that the finding lists.",
    ),
    "HK323": Code(
        "A condition that is never false",
        "A text that is never empty, or a mapping, is not a condition; most often a comparison was forgotten.",
        "Compare it with something.",
    ),
    "HK324": Code(
        "A constant template",
        "The expression reads nothing, so it gives the same on every call.",
        "Write the value itself, or read a name.",
    ),
    "HK325": Code(
        "A condition that is decided already",
        "It is true on every call, or on none, so what it guards runs always or never.",
        "Mend the marked part, or remove it.",
    ),
    "HK326": Code(
        "Single braces around a name",
        "Only `{{ ... }}` is a template; single braces are text, and would be spoken or sent.",
        "Write two braces on each side.",
    ),
    "HK327": Code(
        "A template in a key",
        "Only values are rendered; a key is sent, saved and logged as it is written.",
        "Write the key out, and let a value show what the call has.",
    ),
    "HK328": Code(
        "A text where a list was meant",
        "`x in 'yes|no'` asks whether x is a part of that text, which every fragment is, an empty one too.",
        "Write a list, `x in ['yes', 'no']`, or ask `x is matching('yes|no')`.",
    ),
}

CALL_CODES: Mapping[str, Code] = {
    "HK401": Code("A wait that the caller hears", "Gating steps are awaited before the agent answers; beyond 3 seconds callers speak again or hang up.", "Shorten timeouts (`defaults: {timeout: 1s}` for all), use `background: true`, or run the steps in `parallel`."),
    "HK402": Code("A timeout that another one cuts short", "The outer deadline ends first, so the inner one never counts.", "Make the inner one shorter, or the outer one longer."),
    "HK403": Code("A step that is never reached", "A step before it always ends the hook, the branch or the ladder.", "Move it before that step, or remove it."),
    "HK404": Code("Something after the end", "After `end_call` or a cold transfer nobody hears the agent.", "Move it before the end, or remove it."),
    "HK405": Code("Something in `call_end` that needs a live call", "When `call_end` comes the line is gone.", "Do it before the end, or remove it."),
    "HK406": Code("`after` outside of a ladder", "`after` is the silence before a rung of a `silence_timer`.", "Use `wait` for a pause, or `timer` for something later."),
    "HK407": Code("A ladder that never ends", "A caller who says nothing would be asked for ever, on a paid line.", "End with `end_call` or a transfer, or say with `max` how often it may run."),
    "HK408": Code("A race", "Two steps that run side by side write the same key; which value stays is left to chance.", "Give each a name of its own."),
    "HK409": Code("A recording that stays paused", "Nothing, or not every way through the hook, turns the recording on again.", "Resume under `finally`, or say with `max` how long it may stay off."),
    "HK410": Code("A ladder or timer longer than the call", "A timer ends the call before the last rung is reached, or before the other timer fires.", "Shorten it."),
    "HK411": Code("A retry that never comes", "The step's deadline ends before the first retry.", "Shorten `backoff`, or lengthen the step's `timeout`."),
    "HK412": Code("A ladder that starts itself again", "The ladder's own speech or steps arm it anew, so it never ends.", "Start it once, in `call_start`; it re-arms by itself."),
    "HK413": Code("An event that causes itself", "The hook emits its own event, without end.", "Add `when` or `max_count`."),
    "HK414": Code("A timer that replaces another", "Arming a name again restarts it: the first timer never fires.", "Give each timer its own `name`."),
    "HK415": Code("A repeated command", "A command that is tried again is heard or done twice.", "Remove `retry`."),
    "HK417": Code("Grace that is no grace", "`grace.for` takes the place of `after` for whoever asks for time.", "Make it longer than `after`."),
    "HK416": Code("`parallel` with one step", "Nothing runs beside it.", "Write the step itself."),
    "HK420": Code("A malformed destination", "What cannot be dialled or reached fails when a caller needs it.", "Write numbers in E.164 form, such as '+15550100'."),
    "HK430": Code("Something that the target cannot do", "The runtime refuses the command or never reports the event, so the config would be refused when it is attached.", "Do it another way, or use another runtime."),
    "HK431": Code("Something that never happens on the target", "The target does not report what this waits for: calls go well, but the steps never run, the timer is never cancelled, the condition is never met.", "Do it another way, use another runtime, or leave it as it is for the others that carry the config."),
}  # fmt: skip

SAFETY_CODES: Mapping[str, Code] = {
    "HK501": Code("A secret on its way out", "What is spoken, logged or sent in a body can be read by others.", "Put it into a connection's `auth`."),
    "HK502": Code("A secret in clear", "Who can read the file, or its history, has the credential.", "Read it from the environment: `${NAME}`."),
    "HK503": Code("A secret over plain http", "Everybody on the way can read it.", "Use https."),
    "HK510": Code("Somebody else chooses who is dialled", "Text of a caller or of another system in a destination is how toll fraud is done.", "Choose between numbers that are written out, or list who may be dialled under `allow`."),
    "HK511": Code("A template decides the host", "Whoever fills the template would choose who gets the request and its data.", "Write the host out, or use a connection."),
    "HK512": Code("An address inside of a network", "Requests to private and metadata addresses are refused, since they reach what outsiders must not.", "Allow the host under `allow: {hosts: [...]}` if it is meant."),
    "HK513": Code("Somebody else's words decide", "Who chooses a queue, an agent or a key can go where callers should not; a table or list that is not written out cannot be checked.", "Write it out; where it depends on the call, choose between texts of your own: `{{ 'sales' if ... else 'support' }}`; or list what it may be in `allow`."),
    "HK514": Code("A limit that lets nothing through", "Every step of that kind would fail on every call.", "Raise the limit, or take the steps out."),
    "HK515": Code("A transcript within a text", "A text that a template builds has 65,536 characters at most; after a long call its step fails, and what ends the call is not told.", "Give it as a value of its own: `transcript: \"{{ call.transcript }}\"` is shortened where it is too large."),
}  # fmt: skip

ENVIRONMENT_CODES: Mapping[str, Code] = {
    "HK601": Code("An environment variable is not set", "The config cannot be loaded without it.", "Set it, or give it a default: `${NAME:-default}`."),
    "HK602": Code("An environment variable does not fit", "Its value is of another type than the option.", "Set it to what the option takes."),
    "HK603": Code("A plugin that cannot be loaded", "Its actions are missing.", "Install the package, or mend the name or the module."),
    "HK604": Code("A function that cannot be loaded", "The step would fail on every call.", "Install the package, or mend the name."),
    "HK605": Code("A function with other parameters", "It is called with the context and the event's fields, or fewer.", "Give the other parameters defaults, or pass them with `args`."),
    "HK625": Code("An action that cannot be imported", "A package that is installed promises the action, but its module fails.", "Mend or update the package."),
}  # fmt: skip

CODES: Mapping[str, Code] = {
    **YAML_CODES,
    **STRUCTURE_CODES,
    **NAME_CODES,
    **TEMPLATE_CODES,
    **CALL_CODES,
    **SAFETY_CODES,
    **ENVIRONMENT_CODES,
}
