"""`set_language`: speak and listen in another language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from orchestrator.action import (
    NULL,
    Action,
    ActionContext,
    ActionFailed,
    Fault,
    Filled,
    Shape,
    Trusted,
)

__all__ = ["SetLanguage"]

#: A language tag (no language has a longer code than three letters), or what stands for many.
_CODE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}|multi|auto")
_NAMES = ("to", "speech", "transcription")


class SetLanguage(Action):
    """Change the language of the call from now on: of the agent's speech and of what it hears.

    `to` changes both; `speech` and `transcription` change one. The runtime must have been set up
    for the language.

    ```yaml
    - set_language: de-DE
    - set_language: {speech: es-ES, transcription: multi}
    ```
    """

    to: Annotated[
        str | None, "the language of both, such as de-DE", Filled, Trusted("languages")
    ] = None
    speech: Annotated[str | None, "what the agent speaks", Filled, Trusted("languages")] = None
    transcription: Annotated[
        str | None, "what the caller is heard in", Filled, Trusted("languages")
    ] = None

    needs: ClassVar[frozenset[str]] = frozenset({"language"})
    output: ClassVar[Shape] = NULL
    waits: ClassVar[bool] = False
    in_journal: ClassVar[bool] = False

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> Sequence[Fault]:
        """Both at once, or one by one; each a language code."""
        if not any(name in options for name in _NAMES):
            return [Fault("names no language", help="write `set_language: de-DE`", code="HK104")]
        if "to" in options and len(options) > 1:
            other = next(name for name in options if name != "to")
            return [Fault(f"`to` and `{other}` exclude each other", other)]
        for name in _NAMES:
            code = options.get(name)
            if isinstance(code, str) and not re.search(r"\{\{|\$\{", code) and not _is_code(code):
                return [Fault(f"{code!r} is no language", name, "write one such as de-DE")]
        return ()

    async def run(self, ctx: ActionContext) -> None:
        """Tell the runtime."""
        speech = self.to or self.speech or ""
        transcription = self.to or self.transcription or ""
        for code in filter(None, (speech, transcription)):
            if not _is_code(code):
                raise ActionFailed(f"{code[:40]!r} is no language")
        await ctx.set_language(speech, transcription)


def _is_code(code: str) -> bool:
    return _CODE.fullmatch(code) is not None
