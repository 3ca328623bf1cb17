"""Slack, simulated: chat.postMessage and reactions.get, in Slack's shapes (errors are 200 with ok false)."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ops.sandbox.channels.arguments import arguments_of
from ops.sandbox.channels.mailbox import Mailbox, Message
from ops.sandbox.faults import EVERYWHERE, FaultBoard
from ops.sandbox.world.config import Slack

CHANNEL_ID = "C0SANDBOX01"
ON_CALL = "U0ONCALL001"
BOT = "U0INTERLOCK"
REACTION = "white_check_mark"
Method = Callable[[dict[str, Any]], dict[str, Any]]


class SlackApi:
    """One workspace with one channel, known by its name (with or without #) and its id."""

    def __init__(self, config: Slack, mailbox: Mailbox, faults: FaultBoard) -> None:
        self.config = config
        self.mailbox = mailbox
        self.faults = faults

    def app(self) -> Starlette:
        methods: dict[str, Method] = {
            "auth.test": self.who,
            "chat.postMessage": self.post,
            "reactions.get": self.reactions,
        }
        return Starlette(
            routes=[
                Route(f"/api/{name}", self._method(call), methods=["GET", "POST"]) for name, call in methods.items()
            ]
        )

    def _method(self, method: Method) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if self.faults.strikes("slack_down", EVERYWHERE):
                return PlainTextResponse("upstream connect error", 503)
            arguments = await arguments_of(request)
            problem = self._credentials_problem(request, arguments)
            return JSONResponse({"ok": False, "error": problem} if problem else method(arguments))

        return answer

    def _credentials_problem(self, request: Request, arguments: dict[str, Any]) -> str | None:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        given = bearer if scheme.lower() == "bearer" else str(arguments.get("token", ""))
        if not given:
            return "not_authed"
        token = self.config.token.get_secret_value()
        return None if hmac.compare_digest(given.encode(), token.encode()) else "invalid_auth"

    def _knows(self, channel: object) -> bool:
        return str(channel).removeprefix("#") in (self.config.channel.removeprefix("#"), CHANNEL_ID)

    def who(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {
            "ok": True,
            "url": "http://slack.sandbox/",
            "team": "sandbox",
            "user": "interlock",
            "user_id": BOT,
        }

    def post(self, arguments: dict[str, Any]) -> dict[str, Any]:
        text = arguments.get("text")
        if not self._knows(arguments.get("channel")):
            return {"ok": False, "error": "channel_not_found"}
        if not isinstance(text, str) or not text:
            return {"ok": False, "error": "no_text"}
        message = self.mailbox.receive("slack", self.config.channel, text)
        return {"ok": True, "channel": CHANNEL_ID, "ts": message.slack_ts(), "message": _body(message)}

    def reactions(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The message with its reactions; without any, the key `reactions` is absent, as on Slack."""
        if not self._knows(arguments.get("channel")):
            return {"ok": False, "error": "channel_not_found"}
        wanted = str(arguments.get("timestamp"))
        message = next((known for known in self.mailbox.on("slack") if known.slack_ts() == wanted), None)
        if message is None:
            return {"ok": False, "error": "message_not_found"}
        body = _body(message)
        seen = self.mailbox.noticed(message, self.config.acknowledge_after_seconds)
        if seen and not self.faults.is_on("slack_silent"):
            body["reactions"] = [{"name": REACTION, "users": [ON_CALL], "count": 1}]
        return {"ok": True, "type": "message", "channel": CHANNEL_ID, "message": body}


def _body(message: Message) -> dict[str, Any]:
    return {"type": "message", "user": BOT, "text": message.text, "ts": message.slack_ts()}
