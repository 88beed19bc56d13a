"""Full garbage collections come when no call waits for them."""

from __future__ import annotations

import gc

import pytest

from orchestrator.relay.collector import MOST_LEFT, Collector


# It collects the whole process's garbage, what other tests have left there included.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_collection_waits_for_a_free_line_or_for_much_to_collect() -> None:
    """With calls on, only what many ended calls left is looked for."""
    before = gc.get_threshold()
    collector = Collector()
    collector.start()
    try:
        assert gc.get_threshold()[:2] == before[:2]
        assert gc.get_threshold()[2] > 1_000_000
        assert not collector.look(0, 0), "nothing has ended"
        assert not collector.look(5, 3), "calls are on"
        assert collector.look(5, 0)
        assert not collector.look(5, 0), "once is enough"
        assert not collector.look(MOST_LEFT, 1)
        assert collector.look(5 + MOST_LEFT, 1)
    finally:
        collector.stop()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
