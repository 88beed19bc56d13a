"""What a config does as a Mermaid graph: events, their hooks, the steps of each, and chains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.durations import format_duration
from orchestrator.outline import step_words

__all__ = ["graph"]

Outline = Mapping[str, Any]


def graph(document: Outline) -> Iterator[str]:
    """The lines of a graph of an outline; see `outline`."""
    chains = {name: f"c{number}" for number, name in enumerate(document["chains"])}
    yield "flowchart LR"
    for number, event in enumerate(document["events"]):
        name = f"e{number}"
        wait = event["worst_wait"]
        cost = f"<br/>waits up to {format_duration(wait)}" if wait else ""
        yield f'  {name}(["{_escape(event["scope"] + "." + event["event"])}{cost}"])'
        for index, hook in enumerate(event["hooks"]):
            yield from _hook(hook, name, f"{name}h{index}", chains)
    for name, node in chains.items():
        yield f'  {node}[["{_escape(f"chain {name}")}"]]'
        yield from _steps(document["chains"][name], node, node, chains)


def _hook(hook: Outline, event: str, node: str, chains: Mapping[str, str]) -> Iterator[str]:
    yield f'  {event} {_edge(hook)} {node}["{_escape(hook["name"])}"]'
    yield from _steps(hook["steps"], node, node, chains)
    for key in ("on_error", "finally"):
        if key in hook:
            yield from _block(key, hook[key], node, chains)


def _block(name: str, steps: list[Any], node: str, chains: Mapping[str, str]) -> Iterator[str]:
    yield f'  {node} -. "{name}" .-> {node}{name}(( ))'
    yield from _steps(steps, f"{node}{name}", f"{node}{name}", chains)


def _steps(steps: list[Any], before: str, prefix: str, chains: Mapping[str, str]) -> Iterator[str]:
    """Steps one after another; `before` is the node that they follow."""
    for index, step in enumerate(steps):
        node = f"{prefix}s{index}"
        yield f'  {before} {_edge(step)} {node}["{_escape(step_words(step))}"]'
        if step["do"] == "run" and step.get("with") in chains:
            yield f"  {node} -.-> {chains[step['with']]}"
        for name, block in step.get("blocks", {}).items():
            if step["do"] == "parallel":  # each of them follows the step itself
                for number, branch in enumerate(block):
                    yield from _steps([branch], node, f"{node}p{number}", chains)
            else:
                yield from _block(name, block, node, chains)
        before = node


def _edge(part: Outline) -> str:
    return f'-- "{_escape(part["when"])}" -->' if "when" in part else "-->"


def _escape(text: str) -> str:
    """A text inside of quotes, on one line; `#` begins an entity."""
    plain = " ".join(text.split()).replace("#", "#35;").replace("&", "&amp;")
    return plain.replace('"', "&quot;").replace("<", "&lt;")
