"""The reply of a LiveKit agent waits for the hooks of the caller's words.

LiveKit asks the agent twice before it answers: `on_user_turn_completed` when words were spoken, and
`llm_node` for every reply, typed words included. Both are public methods that agents override; here
they are put in front of the agent's own, on the one object, and taken off when the call is over.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Protocol

__all__ = ["HeldAgent", "Turns"]


class Turns(Protocol):
    """What the agent's reply waits for."""

    @property
    def is_ending(self) -> bool:
        """Whether the call was ended, so that no reply is wanted."""
        ...

    async def heard_turn(self, message: Any) -> None:
        """The caller said this; returns when its hooks have run, or took too long."""
        ...

    async def asked(self, chat_ctx: Any) -> None:
        """The model is asked with this context; returns as `heard_turn` does."""
        ...

    def left_unanswered(self) -> None:
        """The agent's own hook wants no reply to what was said."""
        ...

    def take_injected(self) -> list[Any]:
        """Messages with notes for the reply that begins, once."""
        ...


class HeldAgent:
    """One agent with its two methods wrapped, until `restore`."""

    def __init__(self, agent: Any, turns: Turns) -> None:
        self.agent = agent
        self._turns: Turns | None = turns
        self._told = agent.on_user_turn_completed
        self._llm_node = agent.llm_node
        self._ours = {
            "on_user_turn_completed": self._on_user_turn_completed,
            "llm_node": self._run_llm,
        }
        self._before = {name: vars(agent)[name] for name in self._ours if name in vars(agent)}
        for name, method in self._ours.items():
            setattr(agent, name, method)

    def restore(self) -> None:
        """Give the agent its own methods back; ours do nothing where somebody has wrapped them."""
        self._turns = None
        for name, ours in self._ours.items():
            if vars(self.agent).get(name) != ours:
                continue
            if name in self._before:
                setattr(self.agent, name, self._before[name])
            else:
                delattr(self.agent, name)

    async def _on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        if (turns := self._turns) is not None:
            await turns.heard_turn(new_message)
            if turns.is_ending:
                raise importlib.import_module("livekit.agents").StopResponse
            _add_notes(turns, turn_ctx)
        try:
            await self._told(turn_ctx, new_message=new_message)
        except Exception:  # `StopResponse`, or a failure: to LiveKit it is the same
            if turns is not None:
                turns.left_unanswered()
            raise

    async def _run_llm(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        if (turns := self._turns) is not None:
            await turns.asked(chat_ctx)
            if turns.is_ending:
                return None
            _add_notes(turns, chat_ctx)
        node = self._llm_node(chat_ctx, tools, model_settings)
        return await node if inspect.isawaitable(node) else node


def _add_notes(turns: Turns, chat_ctx: Any) -> None:
    """Add what is missing: the context of this reply may have been copied before it came."""
    for message in turns.take_injected():
        if chat_ctx.get_by_id(message.id) is None:
            chat_ctx.insert(message)
