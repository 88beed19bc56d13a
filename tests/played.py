"""Configs and call tests that several tests of the test kit play."""

from __future__ import annotations

from pathlib import Path

SUPPORT = """\
version: 1
name: support
session:
  call_start:
    - silence_timer:
        after: 8s
        steps:
          - say: ["Are you still there?", "Hello, can you hear me?"]
          - say: "I cannot hear you, so I will hang up now."
          - {after: 5s, end_call: no_response}
  user_turn:
    - name: asks for a human
      when: event.text is matching('human')
      max_count: 1
      do:
        - say: "Connecting you now."
        - remember: {key: "asked", value: "{{ event.text }}"}
        - escalate_transfer: {queue: tier-2}
          on_error:
            - say: "Nobody is free."
"""

LOOKUP = """\
version: 1
name: lookup
session:
  user_turn:
    - name: look
      do:
        - python: {call: "tests.played:nothing", args: {who: "{{ event.text }}"}}
          id: find
          save: customer
          retry: {times: 2, backoff: 1s}
          timeout: 30s
          on_error:
            - say: "Sorry, {{ error.message }}"
        - say: "Hello {{ data.customer.name | default('you') }}"
"""


async def nothing(ctx: object, text: str, who: str) -> None:
    """What the config asks when no answer is given."""


def write(folder: Path, tests: str, config: str = SUPPORT) -> Path:
    """Write a config and its call tests; the path of the tests."""
    (folder / "support.yaml").write_text(config)
    path = folder / "support.calltest.yaml"
    path.write_text(f"config: support.yaml\n{tests}")
    return path


def one(body: str) -> str:
    """A file's `tests` with one test; `body` is indented by four."""
    return f"tests:\n  - name: one\n{body}"
