"""Our own runner on the Unpod wire as a process of its own: the example of docs/runtimes.md.

Arguments: the peer's URL, the config, the directory of journals, seconds to drain.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from orchestrator import AgentRunner, Orchestrator
from orchestrator.runtimes.unpod.native import UnpodExchange
from orchestrator.testing.conformance import entrypoint


def main(url: str, config: str, journals: str, drain: str) -> None:
    # Whoever starts the tests in the background may have them ignore Ctrl-C, and this with them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    exchange = UnpodExchange("agent", url=url, token="t", org_handle="o")
    runner = AgentRunner(entrypoint, exchange=exchange)
    Orchestrator.from_file(config, journals=journals).attach(runner)
    asyncio.run(runner.run(drain=float(drain)))


if __name__ == "__main__":
    main(*sys.argv[1:])
