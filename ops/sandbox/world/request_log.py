"""One line per request on every listener but Alpaca's, which writes its own with the key id."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ops.sandbox.clock import WorldClock
from ops.sandbox.journal import JsonLines, stamp

_BOT_TOKEN = re.compile(r"^/bot[^/]+")
_QUERY_IS_SAFE = ("prometheus", "grafana")
"""Slack takes its token in the query string if it must; Telegram takes it in the path."""


class LoggedRequests:
    """ASGI middleware: method, path and status, never a header, never a body, never a token in a path."""

    def __init__(self, app: ASGIApp, listener: str, journal: JsonLines, clock: WorldClock) -> None:
        self.app = app
        self.listener = listener
        self.journal = journal
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._write(scope, message["status"])
            await send(message)

        await self.app(scope, receive, logged)

    def _write(self, scope: Scope, status: int) -> None:
        self.journal.append(
            {
                "time": stamp(self.clock.wall()),
                "listener": self.listener,
                "method": scope["method"],
                "path": _BOT_TOKEN.sub("/bot***", scope["path"]),
                "query": scope["query_string"].decode("latin-1") if self.listener in _QUERY_IS_SAFE else "",
                "key_id": "",
                "status": status,
            }
        )
