"""Environment variables of a played call: those that are set, and stand-ins for the others.

In virtual time nothing leaves the machine, so a config can be played where its connections are not
set up. A stand-in is told by the variable's name, and never looks like the real thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.config import Config

__all__ = ["StandIns"]


class StandIns(Mapping[str, str]):
    """The environment `known`, and for every other name something of the kind it names.

    Attributes:
        used: the names for which a stand-in was given, in the order asked for.
    """

    def __init__(self, known: Mapping[str, str], config: Config) -> None:
        self._known = known
        self._with_default = _defaulted(config)
        self._of_urls = _leading_urls(config)
        self.used: list[str] = []

    def __getitem__(self, name: str) -> str:
        if name in self._known:
            return self._known[name]
        if name in self._with_default:
            raise KeyError(name)  # the config says what it is then
        if name not in self.used:
            self.used.append(name)
        return _stand_in(name, is_url=name in self._of_urls)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _stand_in(name: str, *, is_url: bool) -> str:
    words = name.lower().split("_")
    if is_url or {"url", "uri", "endpoint", "host", "base"} & set(words):
        return f"https://{'-'.join(words)}.test"
    if {"number", "phone", "tel"} & set(words):
        return "+15550199"
    return f"stand-in-for-{'-'.join(words)}"


def _defaulted(config: Config) -> set[str]:
    values = [*config.vars.values()]
    values += [v for c in config.connections.values() for v in c.options.values()]
    values += [v for step in config.steps() for v in step.options.values()]
    refs = [ref for value in values for _, ref in value.env_refs()]
    return {ref.name for ref in refs if ref.default is not None}


def _leading_urls(config: Config) -> set[str]:
    """The names that a URL begins with, written there or by way of `vars`."""
    names: set[str] = set()
    options = [c.options for c in config.connections.values()]
    for given in (*options, *(step.options for step in config.steps())):
        for word, value in given.items():
            if not word.endswith("url"):
                continue
            reads = [read.path for _, template, _ in value.templates() for read in template.reads]
            own = [str(path[1]) for path in reads if path[0] == "vars" and len(path) > 1]
            values = [value, *(config.vars[name] for name in own if name in config.vars)]
            names |= {ref.name for one in values for _, ref in one.env_refs() if not ref.offset}
    return names
