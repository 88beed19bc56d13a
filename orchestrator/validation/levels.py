"""Keys of a step that stand among the options of its action, one level too deep."""

from __future__ import annotations

from collections.abc import Container

from orchestrator.document import YamlMap
from orchestrator.validation.reader import Reader
from orchestrator.validation.words import listed

__all__ = ["lift_settings"]

_OF_HOOKS = ("max_count", "cooldown", "finally")


def lift_settings(
    reader: Reader, node: YamlMap, word: str, own: Container[str], settings: Container[str]
) -> list[str]:
    """Report settings among the options of `word`, and read them as those of the step.

    `own` are options, `settings` what may stand beside the action. Returns those of a hook, which
    have no place in a step: they are taken out.
    """
    options = node[word]
    if any(options[key] is None for key in options if key in own):
        return []  # what stands below an empty option was meant to be in it
    ours = [key for key in options if key in settings and key not in own]
    hooks = [key for key in options if key in _OF_HOOKS and key not in own]
    if ours:
        is_one = len(ours) == 1
        what = f"{'belongs' if is_one else 'belong'} to the step, not to the options of `{word}`"
        hint = f"put {'it' if is_one else 'them'} beside `{word}:`, one level out"
        reader.at(options, ours[0], "HK114", f"{listed(ours)} {what}", on="key", help=hint)
    for key in hooks:
        message, hint = f"`{key}` belongs to a hook, not to a step", "write the hook with `do:`"
        reader.at(options, key, "HK114", message, on="key", help=hint)
    for key in (*ours, *hooks):
        _move(options, node if key in ours and key not in node else None, key)
    return hooks


def _move(options: YamlMap, node: YamlMap | None, key: str) -> None:
    value, key_span, span = (
        options.pop(key),
        options.key_spans.pop(key),
        options.value_spans.pop(key),
    )
    if node is not None:
        node[key], node.key_spans[key], node.value_spans[key] = value, key_span, span
