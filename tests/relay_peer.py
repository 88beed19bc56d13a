"""A carrier that speaks ConversationRelay: it signs its webhooks, dials sockets, follows TwiML.

It knows nothing of our code: what it signs with is the vendors' own package where there is one.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

import httpx
from nacl.signing import SigningKey
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PUBLIC = "https://calls.example.com/phone"
TOKEN = "tok-0123456789abcdef-canary"
PATIENCE = 8.0


class Twilio:
    """Twilio's side: form posts and handshakes signed with the auth token."""

    name = "twilio"
    call_status = "in-progress"

    def __init__(self, token: str = TOKEN) -> None:
        self.validator = RequestValidator(token)

    def sign(self, url: str, form: dict[str, str], *, is_handshake: bool = False) -> dict[str, str]:
        return {"X-Twilio-Signature": self.validator.compute_signature(url, form)}

    def setup(self, call: PhoneCall) -> dict[str, Any]:
        return {"callStatus": "RINGING", "callType": "PSTN", "callerName": "", "parentCallSid": "",
                "forwardedFrom": "", "accountSid": "AC1"}  # fmt: skip


class Telnyx:
    """Telnyx's side: bodies signed with an Ed25519 key; the handshake is not signed."""

    name = "telnyx"
    call_status = "in-progress"

    def __init__(self, key: SigningKey | None = None) -> None:
        self.key = key or SigningKey.generate()
        self.public_key = base64.b64encode(bytes(self.key.verify_key)).decode()

    def sign(self, url: str, form: dict[str, str], *, is_handshake: bool = False,
             when: float | None = None) -> dict[str, str]:  # fmt: skip
        if is_handshake:
            return {}
        stamp = str(int(time.time() if when is None else when))
        signed = f"{stamp}|{urlencode(form)}".encode()
        signature = base64.b64encode(self.key.sign(signed).signature).decode()
        return {"telnyx-signature-ed25519": signature, "telnyx-timestamp": stamp}

    def setup(self, call: PhoneCall) -> dict[str, Any]:
        return {"callStatus": "active", "callControlId": call.id, "callSessionId": "s",
                "callLegId": "l", "accountSid": "acc"}  # fmt: skip


@dataclass
class Network:
    """One carrier that reaches one server; `base` is where it really listens."""

    carrier: Any
    base: str
    public: str = PUBLIC
    asked: list[tuple[str, int]] = field(default_factory=list)

    def local(self, url: str) -> str:
        assert url.startswith((self.public, self.public.replace("https", "wss"))), url
        path = url.split(urlsplit(self.public).path, 1)[1]
        return ("ws" if url.startswith("ws") else "http") + self.base.removeprefix("http") + path

    async def post(self, url: str, form: dict[str, str], **changes: Any) -> httpx.Response:
        """A webhook, signed unless `headers` says otherwise."""
        headers = changes.pop("headers", None)
        headers = self.carrier.sign(url, form) if headers is None else headers
        kind = {"content-type": "application/x-www-form-urlencoded"}
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE * 2) as client:
            answer = await client.post(
                self.local(url), content=urlencode(changes.pop("sent", form)),
                headers={**kind, **headers},
            )  # fmt: skip
        self.asked.append((url, answer.status_code))
        return answer

    async def ring(self, call_id: str = "CA1", query: str = "", **given: str) -> PhoneCall:
        """A call comes in; its document is followed."""
        call = PhoneCall(self, call_id)
        call.form.update(given)
        answer = await self.post(f"{self.public}/voice{query}", call.form)
        assert answer.status_code == 200, answer.status_code
        await call.follow(answer.text)
        return call


class PhoneCall:
    """One caller on the line, as the carrier sees them.

    Attributes:
        frames: what came over all sockets, each with the number of its socket.
        said: what the carrier's own voice spoke (`<Say>`).
        doing: what the line does: `talking`, `dialling`, `queued`, `over`.
        is_quick: whether speech takes no time, and is reported so.
    """

    def __init__(self, network: Network, call_id: str) -> None:
        self.network, self.id = network, call_id
        self.form = {"CallSid": call_id, "AccountSid": "AC1", "From": "+15550100", "To": "+15550199",
                     "Direction": "inbound", "CallStatus": network.carrier.call_status}  # fmt: skip
        self.frames: list[tuple[int, dict[str, Any]]] = []
        self.said: list[str] = []
        self.documents: list[str] = []
        self.doing = "ringing"
        self.socket: ClientConnection | None = None
        self.sockets = 0
        self.answers_end = True
        self.is_quick = False
        self.dialled: dict[str, str] = {}
        self.action = self.after = self.hold_url = ""
        self.parameters: dict[str, str] = {}
        self.more: dict[str, Any] = {}  # of `setup`
        self.attributes: dict[str, str] = {}
        self.changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what the carrier does

    async def follow(self, document: str) -> None:
        """Do what a document says."""
        self.documents.append(document)
        root = ET.fromstring(document)
        assert root.tag == "Response"
        for verb in root:
            await self._do(verb)
        await self.note()

    async def _do(self, verb: ET.Element) -> None:
        if verb.tag == "Connect":
            relay = verb[0]
            assert relay.tag == "ConversationRelay"
            self.action = verb.attrib["action"]
            self.attributes = dict(relay.attrib)
            self.parameters = {
                p.attrib["name"]: p.attrib["value"] for p in relay.findall("Parameter")
            }
            await self.open(relay.attrib["url"])
        elif verb.tag == "Dial":
            number = verb[0]
            self.dialled = {**verb.attrib, **number.attrib, "number": number.text or ""}
            self.after, self.doing = verb.attrib["action"], "dialling"
        elif verb.tag == "Enqueue":
            self.dialled = {**verb.attrib, "queue": verb.text or ""}
            self.after, self.doing = verb.attrib["action"], "queued"
        elif verb.tag == "Say":
            self.said.append(verb.text or "")
        elif verb.tag in ("Hangup", "Reject"):
            self.doing = "over"
        else:
            raise AssertionError(verb.tag)

    async def open(self, url: str) -> None:
        """Open the socket and send `setup`."""
        headers = self.network.carrier.sign(url, {}, is_handshake=True)
        local = self.network.local(url)
        self.socket = await connect(local, additional_headers=headers, proxy=None)
        self.sockets += 1
        self.doing = "talking"
        await self.send("setup", sessionId=f"VX{self.sockets}", callSid=self.id,
                        customParameters=self.parameters, direction=self.form["Direction"],
                        **{"from": self.form["From"], "to": self.form["To"]},
                        **{**self.network.carrier.setup(self), **self.more})  # fmt: skip
        self._spawn(self._read(self.socket, self.sockets))

    async def _read(self, socket: ClientConnection, number: int) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for raw in socket:
                frame = json.loads(raw)
                self.frames.append((number, frame))
                await self.note()
                if self.is_quick and frame["type"] == "text" and frame["last"]:
                    await self.speak()
                if frame["type"] == "end" and self.answers_end:
                    await self.session_ends("ended", HandoffData=frame.get("handoffData", ""))
                    return
        if self.socket is socket:
            self.socket = None
        await self.note()

    async def session_ends(self, status: str, *, follow: bool = True, **more: str) -> str:
        """The session is over: close its socket, post the action callback, follow the answer."""
        socket, self.socket = self.socket, None
        number = self.sockets
        if socket is not None:
            await socket.close()
        form = {**self.form, "SessionId": f"VX{number}", "SessionStatus": status,
                "SessionDuration": "3", **more}  # fmt: skip
        answer = await self.network.post(self.action, form)
        if follow and answer.status_code == 200:
            await self.follow(answer.text)
        return answer.text

    async def hang_up(self) -> None:
        """The caller is gone."""
        self.form["CallStatus"] = "completed"
        self.doing = "over"
        if self.socket is not None:
            await self.session_ends("completed", follow=False)
        await self.note()

    async def drop(self) -> None:
        """The connection breaks without a word."""
        socket, self.socket = self.socket, None
        assert socket is not None
        socket.transport.abort()

    async def dial_ends(self, status: str, **more: str) -> None:
        """The other side's leg is over: `completed`, `busy`, `no-answer`, `failed`."""
        answer = await self.network.post(
            self.after, {**self.form, "DialCallStatus": status, "DialCallSid": f"CAd{status}", **more}
        )  # fmt: skip
        await self.follow(answer.text)

    async def queue_ends(self, result: str) -> None:
        """The caller leaves the queue: `bridged`, `leave`, `queue-full`."""
        answer = await self.network.post(self.after, {**self.form, "QueueResult": result})
        await self.follow(answer.text)

    async def ask(self, name: str) -> str:
        """Ask one of the URLs that the document named."""
        leg = {"CallSid": "CAleg", "ParentCallSid": self.id, "CallStatus": "in-progress"}
        return (await self.network.post(self.dialled[name], leg)).text

    async def speak(self) -> None:
        """Report that the agent's audio began and ended."""
        with contextlib.suppress(ConnectionClosed):
            for value in ("on", "off"):
                await self.send("info", name="agentSpeaking", value=value)

    # --- what the caller does

    async def send(self, kind: str, **fields: Any) -> None:
        await self.send_raw(json.dumps({"type": kind, **fields}))

    async def send_raw(self, text: str | bytes) -> None:
        assert self.socket is not None
        await self.socket.send(text)

    async def say(self, text: str, **more: Any) -> None:
        await self.send("prompt", voicePrompt=text, lang="en-US", last=True, **more)

    # --- what is seen

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """The frames of a kind."""
        return [frame for _, frame in self.frames if frame["type"] == kind]

    @property
    def heard(self) -> list[str]:
        """What the agent said, talk cycle by talk cycle."""
        texts, text = [], ""
        for frame in self.sent("text"):
            text += frame["token"]
            if frame["last"]:
                texts, text = [*texts, text], ""
        return [*texts, f"{text}..."] if text else texts

    async def until(self, check: Any, seconds: float = PATIENCE) -> None:
        try:
            async with asyncio.timeout(seconds), self.changed:
                await self.changed.wait_for(check)
        except TimeoutError:
            raise AssertionError(f"{self.doing}, {self.frames}, {self.documents}") from None

    async def until_heard(self, text: str) -> None:
        await self.until(lambda: text in self.heard)

    async def until_doing(self, what: str) -> None:
        await self.until(lambda: self.doing == what)

    async def note(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
