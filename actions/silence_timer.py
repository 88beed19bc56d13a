"""`silence_timer`: act when the caller stays silent."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from orchestrator.action import (
    NULL,
    Action,
    ActionContext,
    Condition,
    Duration,
    Filled,
    LadderOptions,
    Options,
    Seconds,
    Shape,
    Steps,
)

__all__ = ["SilenceTimer"]


class Grace(Options):
    """More time when the caller asked for it."""

    when: Annotated[
        Condition, "judged with the caller's turn, such as `event.text is matching(...)`"
    ]
    for_: Annotated[Duration, "how long the first rung waits then"]


class SilenceTimer(Action):
    """Climb a ladder of steps while the caller stays silent.

    The clock runs only while the floor is the caller's: after the agent's audio has ended, with no
    tool or hook running, not on hold, transferring or in voicemail. Words or a key take it back to
    the first rung, where it waits for the agent to answer; noise without words only pauses it, for
    20 s at most. Each step waits `after`, or its own `after`, from the end of what was said before.

    ```yaml
    - silence_timer:
        after: 8s
        steps:
          - say: ["Are you still there?", "Hello, can you hear me?"]
          - say: "I cannot hear you, so I will hang up now."
          - {after: 5s, end_call: no_response}
        grace: {when: "event.text is matching('hold on|one second')", for: 60s}
    ```
    """

    after: Annotated[
        Duration, "silence before each step that has no `after` of its own", Seconds(0.1)
    ]
    steps: Annotated[Steps, "the rungs, one after another"]
    name: Annotated[str, "the name, for `cancel_timer`", Filled] = "silence"
    reset: Annotated[
        Literal["on_user_turn", "never"], "whether words take the ladder back to its first rung"
    ] = "on_user_turn"
    max: Annotated[int | None, "how often the ladder may run in one silence", range(1, 1000)] = None
    grace: Annotated[Grace | None, "more time when the caller asks for it"] = None
    end: Annotated[
        Literal["soft", "strict"], "whether speech during the goodbye cancels the end (soft)"
    ] = "soft"

    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    def run(self, ctx: ActionContext) -> None:
        """Start the clock."""
        options = LadderOptions(
            after=self.after,
            reset=self.reset,
            max=self.max if self.max is not None else 1,
            end=self.end,
            grace_for=self.grace.for_ if self.grace else 0.0,
            grace_when=self.grace.when if self.grace else None,
        )
        ctx.start_ladder(self.name, options, self.steps)
