"""`orchestrator explain`: what a config needs, who can carry it, and what never happens there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import group

TEXT = """version: 1
session:
  user_turn:
    - do:
        - say: {text: hi, interruptible: false}
        - escalate_transfer: {number: "+15550100"}
          on_error: [{say: sorry}]
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "c.yaml"
    path.write_text(TEXT)
    return str(path)


def explained(*args: str) -> str:
    result = CliRunner().invoke(group, ["explain", *args])
    assert result.exit_code == 0, result.output
    return result.output


def test_it_lists_the_runtimes_that_can_carry_a_config(config: str) -> None:
    """And what the others lack, without a run for each of them."""
    text = explained(config)
    assert "native, console, script, conversation_relay, livekit, pipecat" in text
    assert "not on unpod: say.protected" in text
    runtimes = json.loads(explained(config, "--format", "json"))["runtimes"]
    assert (runtimes["livekit"], runtimes["unpod"]) == ([], ["say.protected"])


def test_it_says_what_never_happens_on_a_target(config: str) -> None:
    """`can do all of it` is not all that there is to say."""
    text = explained(config, "--target", "pipecat")
    assert "pipecat can do all of it, but" in text
    assert "only run when the transfer fails at once" in text
    found = json.loads(explained(config, "--target", "pipecat", "--format", "json"))["never"]
    assert [(one["need"], one["place"]) for one in found] == [
        ("transfer.outcome", f"{config}:7:11")
    ]
    assert "can do all of it\n" in explained(config, "--target", "livekit")
