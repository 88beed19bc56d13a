"""LiveKit's server API on this machine, as far as calls need it: transfers and rooms."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from livekit.agents.utils import http_context
from livekit.protocol.room import DeleteRoomResponse
from livekit.protocol.sip import SIPParticipantInfo, TransferSIPParticipantRequest


class Server:
    """Answers `TransferSIPParticipant` and `DeleteRoom`.

    Attributes:
        failure: what a transfer fails with: a Twirp error's `meta`, or None.
        answers: set when a transfer is to be answered.
        transfers: who was moved where.
        deleted: how many rooms were deleted.
    """

    def __init__(self) -> None:
        self.failure: dict[str, str] | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.transfers: list[tuple[str, str]] = []
        self.deleted = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/twirp/livekit.SIP/TransferSIPParticipant", self._transfer)
        app.router.add_post("/twirp/livekit.RoomService/DeleteRoom", self._delete)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.env = {"LIVEKIT_URL": f"http://127.0.0.1:{port}", "LIVEKIT_API_KEY": "key",
                    "LIVEKIT_API_SECRET": "s" * 32}  # fmt: skip
        http_context._new_session_ctx()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await http_context._close_http_ctx()
        await self._runner.cleanup()

    async def _transfer(self, request: web.Request) -> web.Response:
        asked = TransferSIPParticipantRequest.FromString(await request.read())
        self.transfers.append((asked.participant_identity, asked.transfer_to))
        await self.answers.wait()
        if self.failure is not None:
            return web.json_response(
                {"code": "unknown", "msg": "sip call failed", "meta": self.failure}, status=500
            )
        return _protobuf(SIPParticipantInfo())

    async def _delete(self, request: web.Request) -> web.Response:
        self.deleted += 1
        return _protobuf(DeleteRoomResponse())


def _protobuf(message: Any) -> web.Response:
    return web.Response(body=message.SerializeToString(), content_type="application/protobuf")
