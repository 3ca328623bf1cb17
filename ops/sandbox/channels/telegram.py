"""Telegram's bot API, simulated: sendMessage and getUpdates, with an on-call person who replies."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ops.sandbox.channels.arguments import arguments_of
from ops.sandbox.channels.mailbox import Mailbox, Message
from ops.sandbox.faults import EVERYWHERE, FaultBoard
from ops.sandbox.world.config import Telegram

REPLY = "ack"
BOT = {"id": 7000000001, "is_bot": True, "first_name": "interlock", "username": "interlock_sandbox_bot"}
ON_CALL = {"id": 7000000002, "is_bot": False, "first_name": "on-call"}
_REPLY_NUMBERS_FROM = 1_000_000


class TelegramApi:
    """One chat. An update below the `offset` asked for is confirmed and not shown again (Telegram docs)."""

    def __init__(self, config: Telegram, mailbox: Mailbox, faults: FaultBoard) -> None:
        self.config = config
        self.mailbox = mailbox
        self.faults = faults
        self._confirmed_below = 0

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/bot{token}/{method}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> Response:
        if self.faults.strikes("telegram_down", EVERYWHERE):
            return PlainTextResponse("Bad Gateway", 502)
        token = self.config.token.get_secret_value()
        if not hmac.compare_digest(request.path_params["token"].encode(), token.encode()):
            return _failed(401, "Unauthorized")
        methods: dict[str, Callable[[dict[str, Any]], Response]] = {
            "getme": lambda arguments: _ok(BOT),
            "sendmessage": self.send,
            "getupdates": self.updates,
        }
        method = methods.get(request.path_params["method"].lower())
        return _failed(404, "Not Found") if method is None else method(await arguments_of(request))

    def send(self, arguments: dict[str, Any]) -> Response:
        text = arguments.get("text")
        if str(arguments.get("chat_id")) != str(self.config.chat_id):
            return _failed(400, "Bad Request: chat not found")
        if not isinstance(text, str) or not text:
            return _failed(400, "Bad Request: message text is empty")
        return _ok(self._message(self.mailbox.receive("telegram", str(self.config.chat_id), text)))

    def updates(self, arguments: dict[str, Any]) -> Response:
        """The on-call person's replies so far, oldest first. Long polls are not simulated."""
        offset = str(arguments.get("offset", "0"))
        if offset.isdigit():
            self._confirmed_below = max(self._confirmed_below, int(offset))
        if self.faults.is_on("telegram_silent"):
            return _ok([])
        return _ok([self._reply(message) for message in self.mailbox.on("telegram") if self._due(message)])

    def _due(self, message: Message) -> bool:
        seen = self.mailbox.noticed(message, self.config.acknowledge_after_seconds)
        return seen and message.number >= self._confirmed_below

    def _message(self, message: Message) -> dict[str, Any]:
        chat = {"id": self.config.chat_id, "type": "group", "title": "on-call"}
        date = int(message.at.timestamp())
        return {"message_id": message.number, "from": BOT, "chat": chat, "date": date, "text": message.text}

    def _reply(self, message: Message) -> dict[str, Any]:
        sent = self._message(message)
        number = _REPLY_NUMBERS_FROM + message.number
        reply = {**sent, "message_id": number, "from": ON_CALL, "text": REPLY, "reply_to_message": sent}
        return {"update_id": message.number, "message": reply}


def _ok(result: Any) -> Response:
    return JSONResponse({"ok": True, "result": result})


def _failed(status: int, description: str) -> Response:
    return JSONResponse({"ok": False, "error_code": status, "description": description}, status)
