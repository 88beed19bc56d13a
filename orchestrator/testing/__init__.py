"""The test kit: call tests, played calls, and stand-ins for action authors.

For a config, `play_call` plays a few events and returns what happened; `load_call_tests` and
`run_call_test` run the call tests of a file. For an action, `run_action` runs it with a
`FakeContext` that writes down what the action asked for.
"""

from __future__ import annotations

from orchestrator.testing.calltest import CallTest, CallTestFile, is_call_test, load_call_tests
from orchestrator.testing.fakes import FakeContext, run_action
from orchestrator.testing.given import Given
from orchestrator.testing.kit import PlayedCall, Stage, play_call
from orchestrator.testing.runner import TestResult, run_call_test

__all__ = [
    "CallTest",
    "CallTestFile",
    "FakeContext",
    "Given",
    "PlayedCall",
    "Stage",
    "TestResult",
    "is_call_test",
    "load_call_tests",
    "play_call",
    "run_action",
    "run_call_test",
]
