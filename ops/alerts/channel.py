"""Slack and Telegram behind two verbs: send a message, ask whether a person acknowledged it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from ops.errors import AlertError
from ops.model.profile import Channel
from ops.web import NoAnswer, ask

Answer = TypeVar("Answer")


class AlertChannel(Protocol):
    """One way to reach the person on call."""

    def send(self, text: str) -> str:
        """The receipt of a message that the service took on. Raises AlertError."""

    def acknowledged(self, receipt: str) -> bool:
        """Whether a person has answered that very message. Raises AlertError."""


class Slack:
    """Slack's Web API with a bot token: chat.postMessage, and a reaction on the message as the acknowledgement."""

    def __init__(self, url: str, token: str, channel: str) -> None:
        self._url, self._headers, self._channel = url, {"Authorization": f"Bearer {token}"}, channel

    def send(self, text: str) -> str:
        """The receipt is `channel|ts`, which names the message in Slack."""
        answer = self._asked("POST", "/api/chat.postMessage", {"channel": self._channel, "text": text})
        return _shaped("Slack", lambda: f"{answer['channel']}|{answer['ts']}")

    def acknowledged(self, receipt: str) -> bool:
        """Any reaction by anyone but the sender counts."""
        channel, stamp = receipt.split("|")
        answer = self._asked("GET", f"/api/reactions.get?channel={quote(channel)}&timestamp={quote(stamp)}")
        return _shaped("Slack", lambda: _reacted(answer["message"]))

    def _asked(self, method: str, path: str, body: Any = None) -> Any:
        answer = _asked("Slack", method, self._url + path, self._headers, body)
        if not answer.get("ok"):
            raise AlertError(f"Slack refused: {answer.get('error', 'no reason given')}")
        return answer


class Telegram:
    """Telegram's Bot API: sendMessage, and a reply to the message as the acknowledgement."""

    def __init__(self, url: str, token: str, chat: str) -> None:
        self._base, self._chat = f"{url}/bot{token}", chat

    def send(self, text: str) -> str:
        """The receipt is `chat|message id`: Telegram counts the messages of each chat anew."""
        sent = self._asked("POST", "/sendMessage", {"chat_id": self._chat, "text": text})
        return _shaped("Telegram", lambda: f"{sent['result']['chat']['id']}|{sent['result']['message_id']}")

    def acknowledged(self, receipt: str) -> bool:
        """A message in the chat that replies to ours."""
        answer = self._asked("GET", "/getUpdates")
        return _shaped("Telegram", lambda: receipt in _answered(answer["result"]))

    def _asked(self, method: str, path: str, body: Any = None) -> Any:
        answer = _asked("Telegram", method, self._base + path, {}, body)
        if not answer.get("ok"):
            raise AlertError(f"Telegram refused: {answer.get('description', 'no reason given')}")
        return answer


def open_channel(channel: Channel, token: str) -> AlertChannel:
    """The channel that a profile describes."""
    kinds: dict[str, type[Slack] | type[Telegram]] = {"slack": Slack, "telegram": Telegram}
    return kinds[channel.kind](channel.url, token, channel.to)


def _reacted(message: Mapping[str, Any]) -> bool:
    users = {user for reaction in message.get("reactions", ()) for user in reaction["users"]}
    return bool(users - {message.get("user")})


def _answered(updates: Sequence[Mapping[str, Any]]) -> list[str]:
    messages = [update.get("message") or {} for update in updates]
    return [f"{m['chat']['id']}|{m['reply_to_message']['message_id']}" for m in messages if m.get("reply_to_message")]


def _shaped(service: str, read: Callable[[], Answer]) -> Answer:
    try:
        return read()
    except (KeyError, TypeError, AttributeError):
        raise AlertError(f"{service} answered in an unknown shape") from None


def _asked(service: str, method: str, url: str, headers: dict[str, str], body: Any) -> dict[str, Any]:
    try:
        status, answer = ask(method, url, headers, body)
    except NoAnswer as error:
        raise AlertError(f"{service} did not answer: {error}") from None
    if not isinstance(answer, dict):
        raise AlertError(f"{service} answered HTTP {status} without a document")
    return answer
