"""Unpod calls: on its SDK (`runner`, `call`, `lane`, `session`), or on its wire (`native`).

`wire` and `events` say what is sent and reported; both ways share them.
"""

from orchestrator.runtimes.unpod.lane import Waits
from orchestrator.runtimes.unpod.runner import UNPOD_CAPABILITIES, UnpodRunner, adapt, guard

__all__ = ["UNPOD_CAPABILITIES", "UnpodRunner", "Waits", "adapt", "guard"]
