"""What a runtime says it can do, each by itself, and what it knows of calls: who, and which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.testing.conformance_case import CALLER, MACHINE, NOTES, Case, called

__all__ = ["ABILITIES"]


def _asks(needs: str, step: str, asked: tuple[str, ...], did: str, *more: str) -> Case:
    """One command of a hook, before the reply, and that it reaches the far side once."""
    return Case(
        f"{needs}: the far side is asked, once",
        f"session: {{user_turn: [{step}]}}",
        ({"t": 0.2, "user_turn": "go"}, {"t": 1, "hangup": "x"}),
        called("event user_turn go", did, "event agent_turn you said go", *more),
        needs=frozenset({needs}),
        asked=asked,
    )


def _tells(needs: str, event: Mapping[str, Any], lines: tuple[str, ...], when: str) -> Case:
    """One event of the far side, and that hooks get it as it is, once."""
    name = str(event["event"])
    return Case(
        f"{needs}: a {name} that the far side reports reaches the hooks",
        f'session: {{{name}: [{{name: case told, when: "{when}", do: [{{log: x}}]}}]}}',
        ({"t": 0.2, **event}, {"t": 0.8, "hangup": "x"}),
        called(*lines),
        needs=frozenset({needs}),
    )


def _one_of_two(word: str, number: str, beside: Case | None = None) -> Case:
    return Case(
        "two calls at once know nothing of each other",
        f"""
        session:
          call_start: [{{set: {{word: {word}}}}}]
          user_turn:
            - say: 'hooks of {{{{ data.word }}}}, turn {{{{ call.count("user_turn") }}}}'
        """,
        ({"t": 0.2, "user_turn": f"{word} begins"}, {"t": 0.9, "user_turn": f"{word} goes on"},
         {"t": float(number), "hangup": "x"}),
        called(
            f"event user_turn {word} begins", f"do say hooks of {word}, turn 1",
            f"event agent_turn you said {word} begins",
            f"event user_turn {word} goes on", f"do say hooks of {word}, turn 2",
            f"event agent_turn you said {word} goes on",
        ),
        unheard=("left",) if word == "right" else ("right",),
        beside=beside,
    )  # fmt: skip


_SOUND = "https://sounds.example.com/a.mp3"
_WARM = "escalate_transfer: {%s, mode: warm, announcement: a caller for you}"


def _warm(kind: str, option: str, to: str) -> Case:
    return Case(
        f"transfer.warm: the {kind} is asked for with its announcement",
        f"session: {{user_turn: [{{{_WARM % f'{option}: {to!r}'}}}]}}",
        ({"t": 0.2, "user_turn": "human"}, {"t": 1.2, "hangup": "x"}),
        called("event user_turn human", f"do transfer {to}", "? event agent_turn *",
               "event hangup", state="*"),
        needs=frozenset({"transfer.warm", f"transfer.{kind}"}),
        asked=(f"transfer {kind} {to}, warm: a caller for you",),
    )  # fmt: skip


ABILITIES: tuple[Case, ...] = (
    Case(
        "who calls is known before the first hook",
        f"""
        runner:
          call_start: [{{name: case known, when: call.user_number == '{CALLER}', do: [{{log: x}}]}}]
        """,
        ({"t": 0.3, "hangup": "x"},),
        ("runner call_start", "hook known", "session call_start", "event hangup",
         "session call_end hangup", "runner call_end ended"),
    ),
    _one_of_two("left", "1.5", _one_of_two("right", "1.7")),
    Case(
        "say.protected: the caller cannot cut it",
        """
        session:
          user_turn: [{say: {text: mind the gap, interruptible: false}}, {say: thank you}]
        """,
        ({"t": 0.2, "user_turn": "go"}, {"t": 1, "hangup": "x"}),
        called("event user_turn go", "do say mind the gap", "do say thank you",
               "event agent_turn you said go"),
        needs=frozenset({"say.protected"}),
        protected=("mind the gap",),
    ),
    Case(
        "dtmf: keys reach the hooks, each once and in order",
        "session: {dtmf: [{name: case key, do: [{say: 'key {{ event.digit }}'}]}]}",
        ({"t": 0.2, "dtmf": "1"}, {"t": 0.4, "dtmf": "#"}, {"t": 1, "hangup": "x"}),
        called("event dtmf 1", "hook key", "do say key 1",
               "event dtmf #", "hook key", "do say key #"),
        needs=frozenset({"dtmf"}),
    ),
    Case(
        "state: who speaks is told of who does",
        """
        session:
          state:
            - {name: case agent, when: "event.who == 'agent' and event.state == 'speaking'",
               max_count: 1, do: [{log: x}]}
            - {name: case caller, when: "event.who == 'caller'", do: [{log: x}]}
        """,
        ({"t": 0.2, "state": "speaking", "who": "agent"},
         {"t": 0.5, "state": "listening", "who": "agent"}, {"t": 1.2, "hangup": "x"}),
        called("hook agent"),
        needs=frozenset({"state"}),
    ),
    _asks("interrupt", "{interrupt: {}}", ("interrupt",), "do interrupt"),
    _asks("digits", "{send_dtmf: '12#'}", ("keys 12#",), "do send_dtmf"),
    _asks("play", f"{{play: {{source: '{_SOUND}', loop: 2, lasts: 100ms}}}}",
          (f"play {_SOUND} 2",), "do play"),
    _asks("language", "{set_language: de-DE}", ("language de-DE de-DE",), "do set_language"),
    _asks("filler", "{set_filler: one moment}", ("filler one moment",), "do set_filler"),
    _asks("recording", "{recording: {pause: card, max: 9s}}",
          ("recording pause", "? recording resume"), "do recording", "? do recording"),
    Case(
        "inject: a note is known to who writes the replies",
        "session: {user_turn: [{inject: be kind}]}",
        ({"t": 0.2, "user_turn": "what was noted"}, {"t": 1, "hangup": "x"}),
        called("event user_turn what was noted", "do inject", "event agent_turn you heard be kind"),
        needs=frozenset({"inject", MACHINE}),
    ),
    Case(
        "inject: a note that no dialog machine takes goes to the far side",
        "session: {user_turn: [{inject: be kind}]}",
        ({"t": 0.2, "user_turn": "go"}, {"t": 1, "hangup": "x"}),
        called("event user_turn go", "do inject", "event agent_turn you said go"),
        needs=frozenset({"inject", MACHINE}),
        sees=frozenset({NOTES}),
        asked=("note be kind",),
        takes_notes=False,
    ),
    _warm("number", "number", "+15550142"),
    _warm("queue", "queue", "people"),
    _tells("voicemail", {"event": "voicemail", "stage": "detected"},
           ("event voicemail detected", "hook told"), "event.stage == 'detected'"),
    _tells("metric", {"event": "metric", "name": "ttfa_ms", "value": 120},
           ("hook told",), "event.name == 'ttfa_ms' and event.value == 120"),
    _tells("tools", {"event": "tool_call", "name": "look", "args": {"q": "rome"}},
           ("event tool_call look", "hook told"), "event.args.q == 'rome'"),
    _tells("tools", {"event": "tool_result", "name": "look", "result": "found", "ok": True},
           ("event tool_result look", "hook told"), "event.ok"),
)  # fmt: skip
