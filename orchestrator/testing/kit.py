"""Play a call from Python: a config, a few events, and what happened."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.callscript import CallScript, TimedEvent, event_from_mapping
from orchestrator.compiler import compile_config
from orchestrator.config import Config
from orchestrator.errors import ConfigError
from orchestrator.memory import Memory
from orchestrator.replay import play
from orchestrator.runtime import CallEvent
from orchestrator.runtimes.script_bridge import PlayOptions
from orchestrator.testing.given import Given
from orchestrator.testing.runner import DEFAULT_ID
from orchestrator.testing.timeline import Happening, happenings
from orchestrator.testing.variables import StandIns
from orchestrator.validation import check_text, load_config

__all__ = ["PlayedCall", "Stage", "play_call"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a call is played.

    Attributes:
        memory: cross-call memory, to be shared by several calls.
        start: the time of day at which the call starts.
        variables: environment variables; those that are missing have stand-ins.
        far_side: what the runtime can do, and how it answers.
    """

    memory: Memory | None = None
    start: datetime | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    far_side: PlayOptions = field(default_factory=PlayOptions)


@dataclass(frozen=True, slots=True)
class PlayedCall:
    """What happened in a played call.

    Attributes:
        timeline: commands, acts, hooks, events and timers, in order.
        data: the call's data at its end.
        state: how the session ended, as `call_end` says.
        journal: the journal's lines.
    """

    timeline: tuple[Happening, ...]
    data: Mapping[str, Any]
    state: str | None
    journal: tuple[Mapping[str, Any], ...] = field(repr=False)

    @property
    def said(self) -> list[str]:
        """What was said, in order."""
        return [str(happening.value["text"]) for happening in self.of("say")]

    def of(self, word: str) -> list[Happening]:
        """All that happened under one word: `say`, `transfer`, `webhook`, `hook` ..."""
        return [happening for happening in self.timeline if happening.word == word]


def play_call(
    config: str | Path,
    events: Iterable[Mapping[str, Any]] = (),
    *,
    given: Mapping[str, Any] | Given | None = None,
    call: Mapping[str, Any] | None = None,
    ends: float = 60.0,
    stage: Stage | None = None,
) -> PlayedCall:
    """Play one call in virtual time; nothing leaves the machine.

    Args:
        config: the path of a config, or its text.
        events: timed events, such as `{"t": 1.5, "user_turn": "hello"}`.
        given: what outside systems answer, by step id, connection or action.
        call: what is known of the call: `user_number`, `direction`, `data` ...
        ends: when the caller hangs up, in seconds, unless the events say.
        stage: the time of day, memory, variables and the far side, where they matter.

    Raises:
        ConfigError: the config has mistakes.
        ScriptError: an event or an answer is malformed.

    Example:
        >>> called = play_call("support-line.yaml", [{"t": 0, "agent_turn": "How can I help?"}])
        >>> called.said
        ['Are you still there?', 'I cannot hear you, so I will hang up now.']
    """
    stage, checked = stage or Stage(), _load(config)
    plan = compile_config(checked, StandIns({**os.environ, **stage.variables}, checked))
    script = CallScript({"id": DEFAULT_ID, **(call or {})}, _events(events, ends), "<play_call>")
    played = play(
        plan,
        script,
        options=stage.far_side,
        given=given if isinstance(given, Given) else Given(given),
        memory=stage.memory,
        start=stage.start,
    )
    timeline = tuple(happenings(played.clear))
    return PlayedCall(timeline, played.data, played.state, played.clear)


def _load(config: str | Path) -> Config:
    if isinstance(config, Path) or "\n" not in config:
        return load_config(config)
    checked = check_text(config)
    if checked.config is None or not checked.is_good:
        raise ConfigError(checked.problems)
    return checked.config


def _events(events: Iterable[Mapping[str, Any]], ends: float) -> tuple[TimedEvent, ...]:
    timed = tuple(event_from_mapping(event) for event in events)
    if any(event.event.name == "hangup" for event in timed):
        return timed
    last = max((event.t for event in timed), default=0.0)
    return (*timed, TimedEvent(max(ends, last), CallEvent("hangup", {"reason": "end of test"})))
