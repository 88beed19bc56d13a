"""ConversationRelay: phone calls as text, over a carrier's webhooks and one WebSocket a call.

`frames`, `twiml`, `signatures` and `dialects` say what goes over the wire and do no I/O; `call` is
one call over all its sockets, `switchboard` all calls of a process, `web` the HTTP side.
"""

__all__: list[str] = []
