"""Pipecat as a runtime: one `PipelineWorker` per call.

::

    async def bot(runner_args):
        transport = await create_transport(runner_args, ...)
        worker = PipelineWorker(Pipeline([...]))
        orchestrator.attach(Pipecat(worker, transport, runner_args))
        ...

Extra `pipecat`; nothing of Pipecat is imported before a call needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.runtimes.attached import AttachedCall
from orchestrator.runtimes.callbacks import HostLike, Waits
from orchestrator.runtimes.pipecat.bridge import PipecatBridge
from orchestrator.runtimes.pipecat.controls import PIPECAT_CAPABILITIES
from orchestrator.runtimes.pipecat.events import call_facts

__all__ = ["PIPECAT_CAPABILITIES", "Pipecat"]


class Pipecat(AttachedCall):
    """One call on Pipecat, for `Orchestrator.attach`; make it before the worker runs.

    Args:
        worker: the `PipelineWorker`; its pipeline has an `LLMContextAggregatorPair`.
        transport: where the caller is; without it a hang-up is seen only when the bot ends.
        arguments: the bot's `RunnerArguments`, for who calls.
        agents: names of workers on the worker's bus that `agent_id` in the config may hand over to;
            the one named is activated, the others are deactivated, and the call goes on.
        ends_when_unusable: a service that can do its job no more ends the call as failed, after the
            hooks of `error`; leave `processor_unusable_policy` as it is then.
        waits: how long what is waited for.
        known: fields of the call that you know better: `call_id`, `session_id`, `agent_id`,
            `direction`, `user_number`, `called_number`, `data`.

    Raises:
        UserError: the pipeline has no turns to hook into.
    """

    runtime_name = "pipecat"

    def __init__(
        self,
        worker: Any,
        transport: Any = None,
        arguments: Any = None,
        *,
        agents: Sequence[str] = (),
        ends_when_unusable: bool = False,
        waits: Waits | None = None,
        **known: Any,
    ) -> None:
        facts = {**call_facts(arguments), **known}
        self._line = PipecatBridge(
            worker,
            transport,
            facts,
            agents=agents,
            ends_when_unusable=ends_when_unusable,
            waits=waits or Waits(),
        )
        super().__init__(self._line, worker)

    def attached(self, host: HostLike) -> None:
        """Begin; the worker's own end waits for the hooks of the end, which are bounded."""
        super().attached(host)

        async def hooks_of_the_end(*_: Any) -> None:
            await self.finish(self._line.waits.finish)

        self._line.worker.add_event_handler("on_pipeline_finished", hooks_of_the_end)
