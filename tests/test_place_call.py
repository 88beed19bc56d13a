"""`place_call`: whom it dials, and what the backend gets."""

from __future__ import annotations

from typing import Any

import pytest

from actions.place_call import PlaceCall
from orchestrator.clock import run_virtual
from orchestrator.config import Allow
from orchestrator.errors import ActionFailed, NotSent
from tests.fakes import FakeContext
from tests.servers import Opened, Reply, Server, run

NUMBER = "+442079460123"


def dial(
    number: str = NUMBER,
    reply: Reply | None = None,
    *,
    allow: Allow | None = None,
    is_fixed: bool = True,
    **options: Any,
) -> tuple[Any, Any]:
    """Place one call; the output and what the backend saw."""

    async def main() -> Any:
        given = reply or Reply(201, body={"id": 7, "status": "queued"})
        async with Server(given) as server, Opened(server.url) as telephony:
            ctx = FakeContext({"tel": telephony}, allow=allow, is_fixed=is_fixed)
            try:
                output = await PlaceCall(number=number, connection="tel", **options).run(ctx)
            except ActionFailed as error:
                output = error
            return output, server.seen

    return run(main())  # type: ignore[no-any-return]


def test_the_backend_gets_the_number_and_what_belongs_to_it() -> None:
    """The request has number, caller id, agent, data and patience, under one key."""
    output, seen = dial(from_="+442079460999", agent_id="reminder", data={"a": 1})
    assert output == {"id": "7", "status": "queued"}
    assert (seen[0].method, seen[0].target) == ("POST", "/calls")
    assert seen[0].headers["idempotency-key"] == "msg_1"
    assert seen[0].json == {
        "number": NUMBER,
        "from": "+442079460999",
        "agent_id": "reminder",
        "data": {"a": 1},
        "answer_within": 30.0,
    }


def test_what_is_not_given_is_not_sent() -> None:
    """Options without a value are left out."""
    assert "from" not in dial()[1][0].json


@pytest.mark.parametrize(
    "number", ["911", "12", "+1", "abc", "", "+44 20 7946 0123;ext=5", "+999999"]
)
def test_what_is_no_number_is_not_dialled(number: str) -> None:
    """Only E.164 numbers reach the backend."""
    output, seen = dial(number)
    assert isinstance(output, ActionFailed)
    assert seen == []


def test_a_number_of_somebody_else_needs_the_allow_list() -> None:
    """Text of a caller is dialled only if the config or the step lists it."""
    assert isinstance(dial(is_fixed=False)[0], ActionFailed)
    assert dial(is_fixed=False, allow=Allow(prefixes=("+44",)))[0]["id"] == "7"
    assert dial(is_fixed=False, allow=Allow(numbers=(NUMBER,)))[0]["id"] == "7"


def test_another_country_is_not_allowed_by_a_prefix() -> None:
    """A prefix opens only what begins with it, and nothing is sent."""
    output, seen = dial(is_fixed=False, allow=Allow(prefixes=("+1",)))
    assert "no allow-list" in str(output)
    assert seen == []


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ({"call_id": "c1"}, {"id": "c1", "status": None}),
        ({}, {"id": None, "status": None}),
        ([], {"id": None, "status": None}),
        ("", {"id": None, "status": None}),
    ],
)
def test_the_backend_may_answer_briefly(body: Any, output: Any) -> None:
    """An answer without id or status is taken all the same."""
    assert dial(reply=Reply(body=body))[0] == output


def test_a_refusal_fails_the_step() -> None:
    """The backend's no is a failure."""
    assert str(dial(reply=Reply(403))[0]) == "HTTP 403"


def test_in_virtual_time_nobody_is_called() -> None:
    """`NotSent` comes through untouched."""

    async def main() -> None:
        with pytest.raises(NotSent):
            await PlaceCall(number=NUMBER, connection="tel").run(FakeContext())

    run_virtual(main())
