"""What a config does, as plain data: events, hooks, steps, waits, capabilities needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.config import Config, HookConfig, StepConfig
from orchestrator.targets import TARGETS, lent_to, needs_of
from orchestrator.validation.reports import hopes_of
from orchestrator.validation.secrets import is_secret_name
from orchestrator.validation.waits import Waits, worst_case

__all__ = ["outline", "step_words"]

_SHOWN = 60
#: Steps whose first value tells what they do. Those of others may be nobody's business.
_TELLING = frozenset(
    {"say", "log", "end_call", "run", "wait", "stop", "emit", "timer", "silence_timer", "recording",
     "python", "inject", "set_filler", "cancel_timer", "escalate_transfer", "crm_lookup"}
)  # fmt: skip


def outline(config: Config, target: str | None = None) -> dict[str, Any]:
    """The config as a tree; with a target, also what that runtime cannot do or never reports.

    `runtimes` has what each of them lacks of what the config needs.
    """
    waits = Waits(config)
    needs: dict[str, list[str]] = {}
    for need, place in needs_of(config):
        needs.setdefault(need, []).append(str(place.key_position))
    document: dict[str, Any] = {
        "version": 1,
        "name": config.name,
        "files": list(config.files),
        "events": [_event(config, waits, pair) for pair in worst_case(config)],
        "chains": {c.name: list(_steps(waits, c.steps)) for c in config.chains.values()},
        "limits": _limits(config),
        "needs": {need: sorted(set(places)) for need, places in sorted(needs.items())},
        "runtimes": {name: sorted(set(needs) - _can(name, config)) for name in TARGETS},
    }
    if target is not None:
        document["target"] = target
        document["missing"] = document["runtimes"][target]
        document["never"] = [
            {"need": hope.need, "place": str(hope.where), "without": hope.without}
            for hope in hopes_of(config)
            if hope.need not in _can(target, config)
        ]
    return document


def step_words(step: Mapping[str, Any]) -> str:
    """What a step of an outline does, in the fewest words."""
    return f"{step['do']} {step['with']}" if "with" in step else str(step["do"])


def _can(target: str, config: Config) -> frozenset[str]:
    return TARGETS[target] | lent_to(target, config)


def _limits(config: Config) -> dict[str, Any]:
    """How often steps may run, for the kinds that the config's steps have."""
    found: dict[str, Any] = {}
    for step in config.steps():
        limit = config.limit_of(step.action) if step.action is not None else None
        if limit is not None:
            rate = limit.all_calls
            found[limit.kind] = {
                "per_call": limit.per_call,
                "all_calls": {"count": rate.count, "within": rate.within} if rate else None,
                "in_words": str(limit),
                "places": dict(limit.places),
            }
    return dict(sorted(found.items()))


def _event(config: Config, waits: Waits, pair: tuple[Any, str]) -> dict[str, Any]:
    hooks = [hook for hook in config.hooks if (hook.scope, hook.event) == pair]
    return {
        "scope": pair[0],
        "event": pair[1],
        "worst_wait": round(waits.of_event(hooks), 6),
        "hooks": [_hook(waits, hook) for hook in hooks],
    }


def _hook(waits: Waits, hook: HookConfig) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": hook.name,
        "place": str(hook.place.key_position),
        "worst_wait": round(waits.of_hook(hook), 6),
        "when": hook.when.template.source if hook.when is not None else None,
        "max_count": hook.max_count,
        "cooldown": hook.cooldown,
        "timeout": hook.timeout,
        "background": hook.background,
        "steps": list(_steps(waits, hook.steps)),
    }
    if hook.on_error_steps:
        found["on_error"] = list(_steps(waits, hook.on_error_steps))
    if hook.cleanup:
        found["finally"] = list(_steps(waits, hook.cleanup))
    return {key: value for key, value in found.items() if value not in (None, False)}


def _steps(waits: Waits, steps: tuple[StepConfig, ...]) -> Iterator[dict[str, Any]]:
    for step in steps:
        found: dict[str, Any] = {
            "do": step.word,
            "with": _told(step),
            "place": str(step.place.key_position),
            "id": step.id,
            "when": step.when.template.source if step.when is not None else None,
            "save": step.save,
            "after": step.after,
            "background": step.runs_in_background,
            "worst_wait": round(waits.of_step(step), 6) or None,
            "blocks": {n: list(_steps(waits, block)) for n, block in step.blocks.items() if block},
        }
        yield {key: value for key, value in found.items() if value not in (None, False, {})}


def _told(step: StepConfig) -> str | None:
    """The step's main value, shortened; nothing that could be a credential."""
    if step.kind == "if":
        return str(step.options["if"].raw)
    if step.kind == "set":
        return ", ".join(step.options)
    if step.word in ("http", "webhook", "crm_write"):
        return _target(step)
    if step.word not in _TELLING:
        return None
    for name, value in step.options.items():
        texts = value.raw if isinstance(value.raw, list) and value.raw else [value.raw]
        if isinstance(texts[0], str) and not is_secret_name(name) and not list(value.env_refs()):
            more = f" (one of {len(texts)})" if len(texts) > 1 else ""
            return _shortened(texts[0]) + more
    return None


def _target(step: StepConfig) -> str | None:
    """Where a request goes: the connection and the path, or the whole URL without its query."""
    url = step.options.get("url")
    if url is not None:
        is_open = isinstance(url.raw, str) and not list(url.env_refs()) and "@" not in url.raw
        return _shortened(url.raw.partition("?")[0]) if is_open else None
    connection = step.options.get("connection")
    place = step.options.get("path") or step.options.get("table")
    parts = [v.raw for v in (connection, place) if v is not None and isinstance(v.raw, str)]
    return _shortened(" ".join(parts)) or None


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
