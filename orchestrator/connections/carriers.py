"""`kind: twilio`, `kind: telnyx`: a carrier's REST API, for outbound calls and recordings."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any, ClassVar
from urllib.parse import quote, urlencode

from orchestrator.action import Duration, Fault, Secret, Url
from orchestrator.connections.base import AllowLike, Connection, ServicesLike
from orchestrator.connections.credentials import Auth, Basic
from orchestrator.connections.http import HttpConnection
from orchestrator.egress import Egress, parse_url
from orchestrator.errors import ActionFailed

__all__ = ["CarrierConnection", "TelnyxConnection", "TwilioConnection"]

#: Characters of the address that answers a new call, its data included, at most.
MOST_URL = 4000
#: Calls that were placed and are remembered, so that a step that is tried again places none.
MOST_PLACED = 1000
#: Seconds that a carrier lets a phone ring.
RING_LEAST, RING_MOST = 5, 600

Placed = dict[str, str | None]


class CarrierConnection(Connection, ABC):
    """What the carriers have in common; the options stand in their classes."""

    base_url: Url
    voice_url: Url | None
    caller_id: str | None
    timeout: Duration
    allow_private: bool

    #: A call that this carrier brings to `orchestrator serve` can have its recording paused.
    lends: ClassVar[Mapping[str, frozenset[str]]] = {"conversation_relay": frozenset({"recording"})}

    def _inner(self) -> HttpConnection:
        """The same address as a plain web service, whose egress rules and limits we keep."""
        return HttpConnection(
            base_url=self.base_url, auth=self._auth(), timeout=self.timeout,
            allow_private=self.allow_private,
        )  # fmt: skip

    @abstractmethod
    def _auth(self) -> Auth: ...

    def faults(self, allow: AllowLike) -> Iterator[Fault]:
        """What is wrong with the address or the credentials."""
        yield from self._inner().faults(allow)
        if self.voice_url is not None:
            try:
                url = parse_url(self.voice_url)
                Egress(frozenset(map(str.lower, allow.hosts)), True).check(url)
            except ActionFailed as error:
                yield Fault(f"`voice_url`: {error}", "voice_url")
                return
            if url.query:
                yield Fault("`voice_url`: it has a query, where a call's data goes", "voice_url")

    def made_secrets(self) -> Iterator[str]:
        """The credentials as they are sent."""
        yield from self._inner().made_secrets()

    def _start(self, services: ServicesLike, allow: AllowLike) -> None:
        super()._start(services, allow)
        self._http = HttpConnection.open(self.name, self._inner(), services, allow)
        self._placed: OrderedDict[str, Placed] = OrderedDict()

    def prepare(self) -> None:
        """Import httpx and load the certificates."""
        self._inner().prepare()

    async def aclose(self) -> None:
        """Close its sockets."""
        await self._http.aclose()

    # --- what actions and calls ask

    async def place_call(self, wanted: Mapping[str, Any], key: str) -> Placed:
        """Start an outbound call that `orchestrator serve` answers; its id and status.

        `wanted` has `number`, `answer_within` (seconds), and maybe `from`, `agent_id` and `data`,
        with which the new call starts. The carriers know no idempotency key: what may have been
        taken is not tried again, and a `key` that was taken gives the same answer.

        Raises:
            ActionFailed: an option is missing, or the carrier did not take it.
        """
        if key in self._placed:
            return self._placed[key]
        caller = wanted.get("from") or self.caller_id
        if not caller:
            raise ActionFailed(f"{self.name}: name the number to call from: `from`, or `caller_id`")
        answer = await self._request(
            *self._new_call(wanted, str(caller), self._answer_url(wanted)), key=key
        )
        found = answer if isinstance(answer, dict) else {}
        placed = {"id": _text(found.get("sid", found.get("call_sid"))),
                  "status": _text(found.get("status"))}  # fmt: skip
        self._placed[key] = placed
        if len(self._placed) > MOST_PLACED:
            self._placed.popitem(last=False)
        return placed

    def _answer_url(self, wanted: Mapping[str, Any]) -> str:
        if self.voice_url is None:
            raise ActionFailed(f"{self.name}: set `voice_url`, where new calls are answered")
        data, agent = wanted.get("data"), wanted.get("agent_id")
        given = {"data": json.dumps(data, ensure_ascii=False) if data else "", "agent": agent or ""}
        query = urlencode({name: value for name, value in given.items() if value})
        url = f"{self.voice_url}{'?' if query else ''}{query}"
        if len(url) > MOST_URL:
            raise ActionFailed(f"{self.name}: the new call's data is too large to hand over")
        return url

    @abstractmethod
    def _new_call(
        self, wanted: Mapping[str, Any], caller: str, url: str
    ) -> tuple[str, Mapping[str, Any]]: ...

    async def record(self, call_id: str, change: str) -> None:
        """Pause or resume the recording of a call.

        Raises:
            ActionFailed: the carrier did not do it.
        """
        try:
            await self._request(*self._recording(quote(call_id, safe=""), change))
        except ActionFailed as error:
            raise _told_in_words(error) from error

    @abstractmethod
    def _recording(self, call_id: str, change: str) -> tuple[str, Mapping[str, Any]]: ...

    @abstractmethod
    def _body(self, fields: Mapping[str, Any]) -> tuple[str, bytes]: ...

    async def _request(self, path: str, fields: Mapping[str, Any], *, key: str = "") -> Any:
        kind, body = self._body(fields)
        headers = {"content-type": kind, **({"idempotency-key": key} if key else {})}
        try:
            answer = await self._http.request("POST", path, body=body, headers=headers)
        except ActionFailed as error:
            # A call that may ring already must not be placed again.
            is_safe = not key or _was_not_taken(error)
            raise ActionFailed(
                str(error), retryable=error.retryable and is_safe, detail=error.detail
            ) from error
        return answer.json


class TwilioConnection(CarrierConnection):
    """Twilio's REST API: `place_call` starts real calls, `recording` works on calls of `serve`.

    `voice_url` is where `orchestrator serve` answers, its public address and `/voice`.

    ```yaml
    connections:
      phone:
        kind: twilio
        account_sid: "${TWILIO_ACCOUNT_SID}"
        auth_token: "${TWILIO_AUTH_TOKEN}"
        voice_url: "${PUBLIC_URL}/voice"
        caller_id: "+15550100"
    ```
    """

    account_sid: Annotated[str, "the account, AC..."]
    auth_token: Annotated[Secret, "its auth token, or the secret of `api_key`"]
    api_key: Annotated[str | None, "an API key, SK..., instead of the account's own token"] = None
    voice_url: Annotated[Url | None, "what answers the calls that are placed"] = None
    caller_id: Annotated[str | None, "the number that is shown, one of the account's"] = None
    base_url: Annotated[Url, "where the API is"] = Url("https://api.twilio.com")
    timeout: Annotated[Duration, "how long one request may take"] = Duration(10)
    allow_private: Annotated[bool, "whether its address may be inside the network"] = False

    kind: ClassVar[str] = "twilio"

    def _auth(self) -> Auth:
        user = self.api_key or self.account_sid
        return Auth(basic=Basic(user=user, password=self.auth_token))

    def _new_call(
        self, wanted: Mapping[str, Any], caller: str, url: str
    ) -> tuple[str, Mapping[str, Any]]:
        return f"{self._account}/Calls.json", {
            "To": wanted["number"], "From": caller, "Url": url, "Method": "POST",
            "Timeout": _ring(wanted),
        }  # fmt: skip

    def _recording(self, call_id: str, change: str) -> tuple[str, Mapping[str, Any]]:
        status = "paused" if change == "pause" else "in-progress"
        path = f"{self._account}/Calls/{call_id}/Recordings/Twilio.CURRENT.json"
        return path, {"Status": status}

    @property
    def _account(self) -> str:
        return f"/2010-04-01/Accounts/{quote(self.account_sid, safe='')}"

    def _body(self, fields: Mapping[str, Any]) -> tuple[str, bytes]:
        return "application/x-www-form-urlencoded", urlencode(fields).encode()


class TelnyxConnection(CarrierConnection):
    """Telnyx' REST API: `place_call` starts real calls, `recording` works on calls of `serve`.

    ```yaml
    connections:
      phone:
        kind: telnyx
        api_key: "${TELNYX_API_KEY}"
        account_sid: "${TELNYX_ACCOUNT_SID}"
        application_sid: "${TELNYX_APPLICATION_SID}"
        voice_url: "${PUBLIC_URL}/voice"
        caller_id: "+15550100"
    ```
    """

    api_key: Annotated[Secret, "the API key"]
    account_sid: Annotated[str, "the account of the TeXML application"]
    application_sid: Annotated[str, "the TeXML application that places calls"]
    voice_url: Annotated[Url | None, "what answers the calls that are placed"] = None
    caller_id: Annotated[str | None, "the number that is shown, one of the account's"] = None
    base_url: Annotated[Url, "where the API is"] = Url("https://api.telnyx.com/v2")
    timeout: Annotated[Duration, "how long one request may take"] = Duration(10)
    allow_private: Annotated[bool, "whether its address may be inside the network"] = False

    kind: ClassVar[str] = "telnyx"

    def _auth(self) -> Auth:
        return Auth(bearer=self.api_key)

    def _new_call(
        self, wanted: Mapping[str, Any], caller: str, url: str
    ) -> tuple[str, Mapping[str, Any]]:
        return f"/texml/Accounts/{quote(self.account_sid, safe='')}/Calls", {
            "ApplicationSid": self.application_sid, "To": wanted["number"], "From": caller,
            "Url": url, "UrlMethod": "POST", "Timeout": _ring(wanted),
        }  # fmt: skip

    def _recording(self, call_id: str, change: str) -> tuple[str, Mapping[str, Any]]:
        return f"/calls/{call_id}/actions/record_{change}", {}

    def _body(self, fields: Mapping[str, Any]) -> tuple[str, bytes]:
        return "application/json", json.dumps(fields).encode()


def _ring(wanted: Mapping[str, Any]) -> int:
    seconds = float(wanted.get("answer_within") or 30.0)
    return min(max(RING_LEAST, round(seconds)), RING_MOST)


def _was_not_taken(error: ActionFailed) -> bool:
    """Whether a request certainly did nothing: no connection was made, or it was too much."""
    import httpx

    status = error.detail.get("status") if isinstance(error.detail, dict) else None
    return status == 429 or isinstance(error.__cause__, httpx.ConnectError)


def _told_in_words(error: ActionFailed) -> ActionFailed:
    """The failure with its status in words: while a recording is paused, digits are starred."""
    status = error.detail.get("status") if isinstance(error.detail, dict) else None
    if status not in set(HTTPStatus):
        return error
    phrase = HTTPStatus(status).phrase
    return ActionFailed(f"{error} ({phrase})", retryable=error.retryable, detail=error.detail)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
