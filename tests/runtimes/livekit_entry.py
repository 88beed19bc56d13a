"""The entrypoint of a LiveKit job that runs in a process of its own."""

from __future__ import annotations

import os
from typing import Any

from livekit.agents import Agent, AgentSession, JobContext

from orchestrator import Orchestrator
from orchestrator.runtimes.livekit import LiveKit
from tests.runtimes.livekit_peer import ScriptedLLM

#: Where the config is and the journal goes.
CONFIG, JOURNALS = "TEST_LIVEKIT_CONFIG", "TEST_LIVEKIT_JOURNALS"


async def entry(ctx: JobContext) -> None:
    orchestrator = Orchestrator.from_file(os.environ[CONFIG], journals=os.environ[JOURNALS])
    session: AgentSession[Any] = AgentSession(
        llm=ScriptedLLM(), vad=None, turn_handling={"turn_detection": None}
    )
    orchestrator.attach(LiveKit(session, ctx))
    await session.start(Agent(instructions="x"), record=False)
    await session.run(user_input="hello")
    ctx.shutdown("done")
