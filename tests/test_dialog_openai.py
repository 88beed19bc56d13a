"""What models answer beside plain text, and the conversation that they are shown."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from orchestrator.dialog.conversation import MOST_TURNS, Conversation
from orchestrator.dialog.openai import OpenAIDialog
from orchestrator.errors import ActionFailed
from tests.servers import Reply, Server

STREAM = {"content-type": "text/event-stream"}
DONE = "data: [DONE]\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]}, ensure_ascii=False)}\n\n"


def answer(body: str | bytes, headers: dict[str, str] = STREAM) -> tuple[str, str]:
    """What was spoken, and what went wrong."""

    async def main() -> tuple[str, str]:
        async with Server(Reply(body=body, headers=headers)) as server:
            machine, spoken, why = OpenAIDialog("m", base_url=server.url), "", ""
            try:
                async for piece in machine.stream("hi"):
                    spoken += piece
            except ActionFailed as error:
                why = str(error)
            await machine.aclose()
            return spoken, why

    return asyncio.run(main())


WHOLE = {"choices": [{"message": {"content": "Whole."}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("body", "headers", "spoken"),
    [
        (chunk({"refusal": "I can't"}) + chunk({"refusal": " say."}, "stop"), STREAM, "I can't say."),
        (chunk({"content": [{"type": "text", "text": "Parts."}]}, "stop"), STREAM, "Parts."),
        (b"\xef\xbb\xbf" + chunk({"content": "First"}, "stop").encode(), STREAM, "First"),
        (chunk({"content": "Grüße"}, "stop").encode(),
         {"content-type": "text/event-stream; charset=iso-8859-1"}, "Grüße"),
        (json.dumps(WHOLE), {"content-type": "application/json"}, "Whole."),
        (chunk({"content": "Done."}) + "data: [DONE] \n\n", STREAM, "Done."),
        ('data: {"choices": [{"delta": {"content": "hi \\ud83d"}}]}\n\n'
         'data: {"choices": [{"delta": {"content": "\\ude00!"}}]}\n\n' + DONE, STREAM, "hi 😀!"),
        ('data: {"choices": [{"delta": {"content": "hi \\ud83d"}}]}\n\n' + DONE, STREAM, "hi \ufffd"),
        (chunk({"content": "Eos."}, "eos_token") + DONE, STREAM, "Eos."),
        (chunk({"content": "Turn."}, "end_turn") + DONE, STREAM, "Turn."),
        (chunk({"content": "Open."}, "stop"), {**STREAM, "Content-Length": "9999"}, "Open."),
        (chunk({"content": "Open."}) + chunk({}, "stop") + ": still here\n\n",
         {**STREAM, "Content-Length": "9999"}, "Open."),
    ],
    ids=["refusal", "parts", "mark", "charset", "json", "space", "split", "half", "eos", "end turn",
         "stays open", "stays open with comments"],
)  # fmt: skip
def test_words_are_spoken_in_whatever_form_they_come(
    body: str | bytes, headers: dict[str, str], spoken: str
) -> None:
    """What a server means as its reply is one."""
    assert answer(body, headers) == (spoken, "")


@pytest.mark.parametrize(
    ("body", "spoken", "why"),
    [
        (DONE, "", "no text"),
        (chunk({"content": " "}, "stop"), " ", "no text"),
        (chunk({"tool_calls": [{"id": "c"}]}) + chunk({}, "tool_calls") + DONE, "", "tool_calls"),
        (chunk({"content": "Part"}) + chunk({}, "length") + DONE, "Part", "ended early: length"),
        (chunk({"content": "Part"}, "content_filter") + DONE, "Part", "content_filter"),
        ('data: {"object": "error", "message": "x", "code": 400}\n\n' + DONE, "", "error: 400"),
        (chunk({"content": "Half"}) + 'event: error\ndata: {"type": "busy"}\n\n' + DONE, "Half",
         "error: busy"),
        (chunk({"content": "Part"}, "MAX_TOKENS") + DONE, "Part", "ended early: MAX_TOKENS"),
        (chunk({}, "eos_token") + DONE, "", "no text: eos_token"),
        ("event: error\ndata: sorry\n\n", "", "error: no code"),
    ],
    ids=["nothing", "blank", "tool", "length", "filter", "object", "event", "early", "eos only",
         "event, no JSON"],
)  # fmt: skip
def test_a_reply_that_is_none_is_an_error(body: str, spoken: str, why: str) -> None:
    """Dead air has a cause in the journal; what came before it was spoken."""
    told = answer(body)
    assert told[0] == spoken
    assert why in told[1]


def test_a_connection_that_breaks_after_the_end_of_a_reply_is_no_error() -> None:
    """The reply was whole."""

    async def main() -> list[str]:
        whole = chunk({"content": "Whole."}, "stop")
        async with Server(Reply(body=whole, headers=STREAM, is_cut=True)) as server:
            machine = OpenAIDialog("m", base_url=server.url)
            spoken = [piece async for piece in machine.stream("hi")]
            await machine.aclose()
            return spoken

    assert asyncio.run(main()) == ["Whole."]


def talk(*messages: tuple[str, str]) -> Conversation:
    conversation = Conversation("Be kind.")
    for role, text in messages:
        conversation.add(role, text)
    return conversation


def shown(conversation: Conversation) -> list[str]:
    return [f"{message['role'][0]}: {message['content']}" for message in conversation.sent()]


@pytest.mark.parametrize(
    ("heard", "left"),
    [
        ("One two", ["a: One two"]),
        ("One  two three.", ["a: One two three."]),
        ("One two three. Four", ["a: One two three.", "a: Four"]),
        ("Four", ["a: One two three.", "a: Four"]),
        ("4", ["a: One two three.", "a: 4"]),
        ("", ["a: One two three."]),
    ],
)
def test_the_model_knows_what_was_heard(heard: str, left: list[str]) -> None:
    """Of one message or of all since the caller's last words."""
    conversation = talk(
        ("assistant", "Earlier."), ("user", "count"),
        ("assistant", "One two three."), ("assistant", "Four five."),
    )  # fmt: skip
    conversation.cut(heard)
    assert shown(conversation) == ["s: Be kind.", "a: Earlier.", "u: count", *left]


def test_what_was_said_before_the_callers_words_is_left_alone() -> None:
    """They answered it: they heard it."""
    conversation = talk(("assistant", "One two three."), ("user", "yes"))
    conversation.cut("One")
    assert shown(conversation)[1:] == ["a: One two three.", "u: yes"]


def test_notes_stay_however_long_the_call_is() -> None:
    """Only turns are forgotten."""
    conversation = talk(("system", "a VIP"), *[("user", f"{n}") for n in range(MOST_TURNS + 1)])
    assert shown(conversation)[:3] == ["s: Be kind.", "s: a VIP", "u: 1"]
