"""The HTTP side of ConversationRelay: webhooks, callbacks and sockets, on Starlette.

::

    POST /voice                        a call comes in: connect it, or it is busy
    WS   /relay/{call}/{seal}          its socket
    POST /action/{call}/{seal}         the session over a socket has ended: what next
    POST /dialled/{call}/{seal}        a transfer is over
    POST /answered, /whisper, /hold    of a transfer: it was answered; what the other side hears;
                                       how long the caller waits in a queue
    GET  /healthz, /readyz             for whoever runs this

Every request of the carrier is checked before anything of it is used: its signature, and that the
path was made for this call. What fails is told nothing but a status.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from orchestrator.errors import EnvironmentFailure
from orchestrator.relay.call import RelayCall
from orchestrator.relay.frames import AGENT, DATA, BadFrame, Frame, parse_frame
from orchestrator.relay.signatures import Request as Signed
from orchestrator.relay.signatures import Seal, Verifier
from orchestrator.relay.switchboard import Switchboard
from orchestrator.relay.twiml import BUSY, HANG_UP, NOTHING, TRANSFER

try:
    from starlette.applications import Starlette
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket

    from orchestrator.relay.websocket import StarletteSocket
except ImportError as missing:
    raise EnvironmentFailure(
        "ConversationRelay needs more packages: pip install 'hook-orchestrator[serve]'"
    ) from missing

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["RelayWeb"]

logger = logging.getLogger(__name__)

#: Bytes of a webhook's body, and fields of a form, at most.
MOST_BODY, MOST_FIELDS = 64 * 1024, 200
#: Seconds for a body to come, and for `setup` once the socket is open.
BODY_LIMIT, SETUP_LIMIT = 10.0, 10.0
#: Routes of the carrier.
_ROUTES = frozenset({"voice", "relay", "action", "dialled", "answered", "whisper", "hold"})
#: What a call may be named.
_CALL_ID = re.compile(r"[A-Za-z0-9:_.\-]{1,128}")
#: Characters of what a carrier says, in a log line.
_SHOWN = 200
#: Closes a socket that may not be here.
_REFUSED = 1008

Form = Mapping[str, str]
#: What a callback asks of a call: with its form, and the number of the transfer that it is about.
_Ask = Callable[[RelayCall, Form, str], Awaitable[str]]


class _Refused(Exception):
    """A request that is answered with a status and nothing else."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class RelayWeb:
    """The application. `app` is ASGI.

    Args:
        board: the calls.
        verifier: tells the carrier's requests from others.
    """

    def __init__(self, board: Switchboard, verifier: Verifier) -> None:
        self._board = board
        self._verifier = verifier
        self._base = board.directions.base
        self._seal: Seal = board.directions.seal
        per_call = "{call}/{seal}"
        # Each with what is said when the call is not known: over, or of another process.
        asked: Mapping[str, tuple[_Ask, str]] = {
            "action": (_action, HANG_UP), "dialled": (_dialled, HANG_UP),
            "answered": (_answered, NOTHING), "whisper": (_whisper, NOTHING),
            "hold": (_hold, HANG_UP),
        }  # fmt: skip
        self.app = Starlette(
            routes=[
                Route("/healthz", _healthy),
                Route("/readyz", self._ready),
                Route("/voice", self._guarded(self._voice), methods=["POST"]),
                *(
                    Route(f"/{name}/{per_call}", self._guarded(self._of_call(*answers)),
                          methods=["POST"])
                    for name, answers in asked.items()
                ),
                WebSocketRoute(f"/relay/{per_call}", self._relay),
            ],
            exception_handlers={404: self._unknown, 405: self._wrong_method},
        )  # fmt: skip
        # A redirect would go to whatever host the request names, and lose our prefix.
        self.app.router.redirect_slashes = False
        self._has_told: set[str] = set()

    # --- webhooks

    def _guarded(
        self, answer: Callable[[Request, Form], Awaitable[str]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                form = await self._checked(request)
                text = await answer(request, form)
            except _Refused as refusal:
                _log_refusal(request, str(refusal))
                return Response(status_code=refusal.status)
            except ClientDisconnect:
                return Response(status_code=400)
            except Exception:
                logger.exception("a webhook could not be answered")
                return Response(HANG_UP, media_type="application/xml")
            return Response(text, media_type="application/xml")

        return endpoint

    async def _checked(self, request: Request) -> Form:
        """The form of a request that the carrier signed."""
        body = await _body(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        fields = _fields(body) if kind in ("application/x-www-form-urlencoded", "") else []
        signed = Signed(self._address(request), dict(request.headers), body, tuple(fields))
        if problem := self._verifier.why_not(signed):
            raise _Refused(403, problem)
        return dict(fields) if fields else _json_fields(body)

    def _address(self, request: HTTPConnection) -> str:
        """The public address that was asked; never from the Host header, which anybody may set."""
        path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        query: bytes = request.scope.get("query_string", b"")
        return self._base + (path + (b"?" + query if query else b"")).decode("latin-1")

    async def _voice(self, request: Request, form: Form) -> str:
        call_id = form.get("CallSid", "")
        if not _CALL_ID.fullmatch(call_id):
            raise _Refused(400, "no CallSid")
        if self._board.was_on(call_id):
            logger.warning("a call that is over was to be connected", extra={"call_id": call_id})
            return HANG_UP
        if not self._board.announce(call_id, form.get("AccountSid", "")):
            logger.info("a call was told that the line is busy", extra={"call_id": call_id})
            return HANG_UP if form.get("Direction", "").startswith("outbound") else BUSY
        given = {DATA: request.query_params.get("data", ""),
                 AGENT: request.query_params.get("agent", "")}  # fmt: skip
        parameters = {name: value for name, value in given.items() if value}
        return self._board.directions.connect(call_id, parameters)

    def _of_call(self, ask: _Ask, if_unknown: str) -> Callable[[Request, Form], Awaitable[str]]:
        async def answer(request: Request, form: Form) -> str:
            call_id = self._sealed(request)
            call = self._board.find(call_id)
            if call is None:
                self._log_unknown(call_id, form, request.path_params["seal"])
                self._board.give_up(call_id)
                return if_unknown
            return await ask(call, form, request.query_params.get(TRANSFER, ""))

        return answer

    def _log_unknown(self, call_id: str, form: Form, seal: str) -> None:
        """A callback of a call that is not on: late, of another process, or why it never was."""
        extra = {"call_id": call_id}
        code, message = form.get("ErrorCode", ""), form.get("ErrorMessage", "")
        has_failed = bool(code or message) or form.get("SessionStatus") == "failed"
        if has_failed and not self._board.was_on(call_id):
            reason = f"{code} {message or 'the session failed'}".strip().replace(seal, "***")
            extra |= {"reason": reason[:_SHOWN]}
            logger.warning("a call did not connect, its carrier says", extra=extra)
        else:
            logger.info("a callback of a call that is not on", extra=extra)

    def _sealed(self, request: HTTPConnection) -> str:
        call_id, mark = request.path_params["call"], request.path_params["seal"]
        if not (_CALL_ID.fullmatch(call_id) and self._seal.fits(call_id, mark)):
            raise _Refused(403, "the path was not made here")
        return str(call_id)

    # --- sockets

    async def _relay(self, websocket: WebSocket) -> None:
        try:
            call_id = self._sealed(websocket)
            signed = Signed(self._address(websocket), dict(websocket.headers), is_handshake=True)
            if problem := self._verifier.why_not(signed):
                raise _Refused(403, problem)
        except _Refused as refusal:
            _log_refusal(websocket, str(refusal))
            await websocket.close(_REFUSED)  # before it was accepted: answered with 403
            return
        await websocket.accept()
        socket = StarletteSocket(websocket)
        try:
            await self._carry(call_id, socket)
            if why := socket.why_closed:
                logger.warning("socket closed", extra={"call_id": call_id, "reason": why})
        finally:
            await socket.close()

    async def _carry(self, call_id: str, socket: StarletteSocket) -> None:
        try:
            async with asyncio.timeout(SETUP_LIMIT):
                first = await socket.receive()
            if first is None:
                return
            setup = parse_frame(first)
            _require_own(setup, call_id)
            problem = await self._board.carry(setup, socket)
        except TimeoutError:
            problem = "no setup came"
        except BadFrame as error:
            problem = str(error)
        except Exception:
            logger.exception("a socket failed", extra={"call_id": call_id})
            return
        if problem:
            logger.warning("socket refused", extra={"call_id": call_id, "reason": problem})

    async def _unknown(self, request: Request, error: Exception) -> Response:
        """No route of ours; each kind is logged once."""
        is_ours = any(part in _ROUTES for part in request.scope["path"].split("/"))
        why = "a path of ours with something around it" if is_ours else "unknown path"
        self._tell_once("no route of ours, told once", why)
        return PlainTextResponse("not found", 404)

    async def _wrong_method(self, request: Request, error: Exception) -> Response:
        """A route of ours, asked otherwise than by POST: a setting at the carrier; logged once."""
        route = request.scope["path"].split("/")[1]
        if route in _ROUTES:
            self._tell_once(
                "the wrong method, told once", f"/{route} takes HTTP POST: set the webhook to it"
            )
        return PlainTextResponse("method not allowed", 405, getattr(error, "headers", None))

    def _tell_once(self, text: str, why: str) -> None:
        if why not in self._has_told:
            self._has_told.add(why)
            logger.warning(text, extra={"reason": why})

    # --- for whoever runs this

    async def _ready(self, request: Request) -> Response:
        is_open = self._board.is_open
        return PlainTextResponse("ready" if is_open else "draining", 200 if is_open else 503)


async def _healthy(request: Request) -> Response:
    return PlainTextResponse("ok")


def _require_own(setup: Frame, call_id: str) -> None:
    other = setup.get("callSid")
    if setup["type"] == "setup" and isinstance(other, str) and other not in ("", call_id):
        raise BadFrame("setup of another call")  # what is no setup at all, `offer_of` says


async def _action(call: RelayCall, form: Form, transfer: str) -> str:
    return await call.on_action(form)


async def _dialled(call: RelayCall, form: Form, transfer: str) -> str:
    return call.on_dialled(form, transfer)


async def _answered(call: RelayCall, form: Form, transfer: str) -> str:
    call.on_answered(transfer)
    return NOTHING


async def _whisper(call: RelayCall, form: Form, transfer: str) -> str:
    return call.whisper(transfer)


async def _hold(call: RelayCall, form: Form, transfer: str) -> str:
    return call.hold()


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_LIMIT):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BODY:
                    raise _Refused(413, "the body is too large")
    except TimeoutError:
        raise _Refused(408, "the body did not come") from None
    return bytes(body)


def _fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS
        )  # fmt: skip
    except ValueError:
        raise _Refused(400, "the body is no form") from None


def _json_fields(body: bytes) -> dict[str, str]:
    """The texts and numbers of a body that is a JSON object; empty for anything else."""
    try:
        found = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        raise _Refused(400, "the body is neither form nor JSON") from None
    pairs: Any = found.items() if isinstance(found, dict) else ()
    return {k: str(v) for k, v in pairs if isinstance(v, (str, int, float))}


def _log_refusal(connection: HTTPConnection, why: str) -> None:
    """What was refused, without any of its words: neither path nor header nor number."""
    route = connection.scope["path"].split("/")[1]
    known = route if route in _ROUTES else "other"
    logger.warning("request refused", extra={"event": known, "reason": why})
