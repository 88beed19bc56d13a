"""`orchestrator explain`: what a config does, who can carry it, what never happens there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import group

CONFIG = """version: 1
name: shop
connections: {c: {kind: http, base_url: "https://c.example"}}
session:
  user_turn:
    - name: 'a "b" #1'
      when: event.text == 'x'
      do:
        - say: "One\\ntwo; <b> & #3"
        - parallel:
            - {http: {connection: c, path: /a}, timeout: 1s}
            - run: bill
        - if: event.text == 'y'
          then: [{stop: call}]
      finally: [{log: fin}]
chains:
  bill: [{log: billed}, {run: last}]
  last: [{send_dtmf: "1"}]
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "shop.yaml").write_text(CONFIG)
    return str(tmp_path / "shop.yaml")


def explain(*args: str) -> str:
    result = CliRunner().invoke(group, ["explain", *args])
    assert result.exception is None, result.output
    return result.output


def test_the_graph_has_every_step_once_and_branches_beside_each_other(file: str) -> None:
    """What `parallel` runs hangs on it, each by itself; chains stand by themselves."""
    assert explain(file, "--format", "mermaid").splitlines() == [
        "flowchart LR",
        '  e0(["session.user_turn<br/>waits up to 1s"])',
        """  e0 -- "event.text == 'x'" --> e0h0["a &quot;b&quot; #35;1"]""",
        '  e0h0 --> e0h0s0["say One two; &lt;b> &amp; #35;3"]',
        '  e0h0s0 --> e0h0s1["parallel"]',
        '  e0h0s1 --> e0h0s1p0s0["http c /a"]',
        '  e0h0s1 --> e0h0s1p1s0["run bill"]',
        "  e0h0s1p1s0 -.-> c0",
        """  e0h0s1 --> e0h0s2["if event.text == 'y'"]""",
        '  e0h0s2 -. "then" .-> e0h0s2then(( ))',
        '  e0h0s2then --> e0h0s2thens0["stop call"]',
        '  e0h0 -. "finally" .-> e0h0finally(( ))',
        '  e0h0finally --> e0h0finallys0["log fin"]',
        '  c0[["chain bill"]]',
        '  c0 --> c0s0["log billed"]',
        '  c0s0 --> c0s1["run last"]',
        "  c0s1 -.-> c1",
        '  c1[["chain last"]]',
        '  c1 --> c1s0["send_dtmf"]',
    ]


def test_the_tree_and_json_say_what_it_waits_for_and_needs(file: str) -> None:
    """With the places of what is needed, and what a target lacks of it."""
    text = explain(file)
    assert text.startswith("shop: 1 hook on 1 event\n")
    assert "session.user_turn  waits up to 1s" in text
    assert "    2. parallel  (up to 1s)" in text
    assert "  digits             " in text
    lacking = explain(file, "--target", "unpod")
    assert "unpod cannot" in lacking
    document = json.loads(explain(file, "--format", "json", "--target", "unpod"))
    assert document["events"][0]["worst_wait"] == 1
    assert document["missing"] == ["digits"]
    assert document["needs"]["digits"][0].endswith("shop.yaml:18:11")


CARRIED = """version: 1
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
    path.write_text(CARRIED)
    return str(path)


def test_it_lists_the_runtimes_that_can_carry_a_config(config: str) -> None:
    """And what the others lack, without a run for each of them."""
    text = explain(config)
    assert "native, console, script, conversation_relay, livekit, pipecat" in text
    assert "not on unpod: say.protected" in text
    runtimes = json.loads(explain(config, "--format", "json"))["runtimes"]
    assert (runtimes["livekit"], runtimes["unpod"]) == ([], ["say.protected"])


def test_it_says_what_never_happens_on_a_target(config: str) -> None:
    """`can do all of it` is not all that there is to say."""
    text = explain(config, "--target", "pipecat")
    assert "pipecat can do all of it, but" in text
    assert "only run when the transfer fails at once" in text
    found = json.loads(explain(config, "--target", "pipecat", "--format", "json"))["never"]
    assert [(one["need"], one["place"]) for one in found] == [
        ("transfer.outcome", f"{config}:7:11")
    ]
    assert "can do all of it\n" in explain(config, "--target", "livekit")
