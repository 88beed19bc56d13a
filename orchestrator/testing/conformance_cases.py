"""How calls go on every runtime: beginning and end, order, replies, silence, transfers."""

from __future__ import annotations

from orchestrator.testing.conformance_case import MACHINE, REDIAL, Case, called, raises

__all__ = ["COURSES"]


def _transfers(kind: str, to: str) -> tuple[Case, ...]:
    """Transfers to one kind of target: answered, refused, and with an outcome that nobody tells."""
    step = f"escalate_transfer: {{{'agent_id' if kind == 'agent' else kind}: '{to}'}}"
    a_kind = f"an {kind}" if kind == "agent" else f"a {kind}"
    can, asked = frozenset({f"transfer.{kind}"}), (f"transfer {kind} {to}",)
    told = can | {"transfer.outcome"}
    refusal = "busy" if kind == "number" else "refused"  # a dial that is declined is just busy
    return (
        Case(
            f"a transfer to {a_kind} is accepted and answered",
            f"session: {{user_turn: [{{{step}}}]}}",
            ({"t": 0.2, "user_turn": "human"},
             {"t": 0.8, "transfer": {"outcome": "answered", "target": to}},
             {"t": 9, "hangup": "x"}),
            called("event user_turn human", f"do transfer {to}", "? event agent_turn *",
                    "event transfer answered", state="transferred"),
            needs=told,
            asked=asked,
        ),
        Case(
            f"a transfer to {a_kind} is refused, and the call goes on",
            f"""
            session:
              user_turn:
                - when: event.text == 'human'
                  do:
                    - {step}
                      on_error: [{{say: nobody is free}}]
            """,
            ({"t": 0.2, "user_turn": "human"},
             {"t": 0.8, "transfer": {"outcome": refusal, "target": to}},
             {"t": 1.2, "user_turn": "well"}, {"t": 1.8, "hangup": "x"}),
            called("event user_turn human", f"do transfer {to}", "? event agent_turn *",
                    f"event transfer {refusal}", "do say nobody is free", "event user_turn well",
                    "event agent_turn you said well"),
            needs=told,
            asked=asked,
        ),
        Case(
            f"a transfer to {a_kind} whose outcome nobody tells: the line's end is its outcome",
            f"session: {{user_turn: [{{{step}}}]}}",
            ({"t": 0.2, "user_turn": "human"}, {"t": 0.8, "hangup": "x"}),
            called("event user_turn human", f"do transfer {to}", "? event agent_turn *",
                    "event hangup", state="transferred"),
            needs=can,
            without=frozenset({"transfer.outcome"}),
            asked=asked,
        ),
    )  # fmt: skip


_HERE = f"{raises.__module__}:"

COURSES: tuple[Case, ...] = (
    Case(
        "the seven seed events",
        """
        runner:
          call_start: [{name: case 1, do: [{log: x}]}]
          call_end: [{name: case 7, do: [{log: '{{ event.final_state }}'}]}]
        session:
          call_start: [{name: case 2, do: [{log: x}]}]
          user_turn: [{name: case 3, do: [{log: '{{ event.text }}'}]}]
          agent_turn: [{name: case 4, do: [{log: '{{ event.text }}'}]}]
          interruption: [{name: case 5, do: [{log: x}]}]
          call_end: [{name: case 6, do: [{log: '{{ event.state }}'}]}]
        """,
        ({"t": 0.2, "user_turn": "hello"}, {"t": 0.6, "interruption": True},
         {"t": 1, "hangup": "x"}),
        ("runner call_start", "hook 1", "session call_start", "hook 2",
         "event user_turn hello", "hook 3", "event agent_turn you said hello", "hook 4",
         "event interruption", "hook 5", "event hangup", "session call_end hangup", "hook 6",
         "runner call_end ended", "hook 7"),
    ),
    Case(
        "order: hooks one after another, as written",
        """
        session:
          user_turn:
            - say: one
            - do: [{say: two}, {wait: 200ms}, {say: three}]
            - say: four
        """,
        ({"t": 0.2, "user_turn": "hello"}, {"t": 1, "hangup": "x"}),
        called("event user_turn hello", "do say one", "do say two", "do say three", "do say four",
                "event agent_turn you said hello"),
    ),
    Case(
        "isolation: hooks that raise or hang stop neither the next hook nor the call",
        f"""
        session:
          user_turn:
            - python: {_HERE}raises
            - {{python: {_HERE}hangs, timeout: 300ms}}
            - say: still here
        """,
        ({"t": 0.2, "user_turn": "hello"}, {"t": 1.2, "hangup": "x"}),
        called("event user_turn hello", "step python failed", "step python timed_out",
                "do say still here", "event agent_turn you said hello"),
    ),
    Case(
        "background hooks hold nothing",
        """
        session:
          user_turn:
            - {background: true, do: [{wait: 600ms}, {say: later}]}
            - say: at once
        """,
        ({"t": 0.2, "user_turn": "hello"}, {"t": 1.4, "hangup": "x"}),
        called("event user_turn hello", "do say at once", "event agent_turn you said hello",
                "do say later"),
    ),
    Case(
        "the silence ladder climbs to its end",
        """
        session:
          call_start:
            - silence_timer:
                after: 700ms
                steps: [{say: hello?}, {after: 500ms, end_call: no_response}]
        """,
        ({"t": 0.2, "state": "speaking", "who": "agent"},
         {"t": 0.5, "state": "listening", "who": "agent"}, {"t": 9, "hangup": "x"}),
        called("do say hello?", "do end_call no_response", state="ended"),
        asked=("end",),
    ),
    Case(
        "words start the silence ladder anew",
        """
        session:
          call_start:
            - silence_timer: {after: 900ms, steps: [{say: hello?}, {end_call: no_response}]}
        """,
        ({"t": 0.2, "state": "speaking", "who": "agent"},
         {"t": 0.3, "state": "listening", "who": "agent"},
         {"t": 0.9, "user_turn": "hello"}, {"t": 1.5, "hangup": "x"}),
        called("event user_turn hello", "event agent_turn you said hello"),
    ),
    Case(
        "a sound whose end nobody reports is no silence",
        """
        session:
          call_start:
            - play: "https://sounds.example.com/hold.mp3"
            - silence_timer: {after: 700ms, steps: [{say: hello?}]}
        """,
        ({"t": 2.5, "hangup": "x"},),
        called("do play"),
        asked=("play https://sounds.example.com/hold.mp3 1",),
        needs=frozenset({"play"}),
        without=frozenset({"playback"}),
    ),
    Case(
        "interruption: the reply is cut and told as cut",
        "session: {agent_turn: [{say: 'cut: {{ event.interrupted | default(false) }}'}]}",
        ({"t": 0.2, "user_turn": "slow"}, {"t": 0.45, "interruption": True},
         {"t": 1, "user_turn": "go on"}, {"t": 1.5, "hangup": "x"}),
        called("event user_turn slow", "event interruption", "event agent_turn (cut)",
                "do say cut: true", "event user_turn go on", "event agent_turn you said go on",
                "do say cut: false"),
    ),
    Case(
        "a dialog machine is told what the caller heard",
        "session: {}",
        ({"t": 0.2, "user_turn": "slow"}, {"t": 0.45, "interruption": {"heard": "one two"}},
         {"t": 1, "user_turn": "what did I hear"}, {"t": 1.5, "hangup": "x"}),
        called("event user_turn slow", "event interruption", "event agent_turn (cut)",
                "event user_turn what did I hear", "event agent_turn you heard one two"),
        needs=frozenset({MACHINE}),
    ),
    Case(
        "a dialog machine is told what hooks said",
        "session: {call_start: [{say: welcome}]}",
        ({"t": 0.4, "user_turn": "what did hooks say"}, {"t": 1, "hangup": "x"}),
        called("do say welcome", "event user_turn what did hooks say",
                "event agent_turn you heard welcome"),
        needs=frozenset({MACHINE}),
    ),
    Case(
        "a dialog machine that is done ends the call after its last words",
        "session: {}",
        ({"t": 0.2, "user_turn": "finish"}, {"t": 9, "hangup": "x"}),
        ("runner call_start", "session call_start", "event user_turn finish",
         "event agent_turn you said finish", "? event hangup",
         "session call_end *", "runner call_end ended"),
        needs=frozenset({MACHINE}),
        asked=("end",),
    ),
    *_transfers("queue", "people"),
    *_transfers("number", "+15550142"),
    *_transfers("agent", "billing"),
    Case(
        "end: once, and nothing after it",
        """
        session:
          user_turn: [{end_call: done}]
          agent_turn: [{say: too late}]
        """,
        ({"t": 0.2, "user_turn": "bye"}, {"t": 9, "hangup": "x"}),
        called("event user_turn bye", "do end_call done", state="ended"),
        asked=("end",),
    ),
    Case(
        "a hang-up in a reply",
        "session: {call_end: [{name: case told, do: [{log: x}]}]}",
        ({"t": 0.2, "user_turn": "slow"}, {"t": 0.45, "hangup": "x"}),
        ("runner call_start", "session call_start", "event user_turn slow", "event hangup",
         "? event agent_turn (cut)",
         "session call_end hangup", "hook told", "runner call_end ended"),
    ),
    Case(
        "a connection that breaks is made again: one start, one end, one count",
        """
        session:
          call_start: [{set: {kept: yes it is}}]
          user_turn: [{say: 'turn {{ call.count("user_turn") }}, {{ data.kept }}'}]
        """,
        ({"t": 0.2, "user_turn": "slow"}, {"t": 2, "user_turn": "again"},
         {"t": 2.6, "hangup": "x"}),
        called("event user_turn slow", "do say turn 1, yes it is", "? event agent_turn *",
                "event user_turn again", "do say turn 2, yes it is",
                "event agent_turn you said again"),
        drop=0.5,
        needs=frozenset({REDIAL}),
    ),
    Case(
        "a fatal error of the far side ends the call as failed, after its hooks",
        "session: {error: [{say: 'sorry, {{ event.code }}'}]}",
        ({"t": 0.3, "error": {"code": "E1", "message": "m", "severity": "fatal",
                              "source": "stt"}},),
        called("event error E1", "do say sorry, E1", state="error", final="failed"),
        asked=("? end",),
        needs=frozenset({"error"}),
    ),
)  # fmt: skip
