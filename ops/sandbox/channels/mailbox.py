"""What arrived on the simulated channels, kept in one append-only file for tests and the on-call person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ops.sandbox.clock import WorldClock
from ops.sandbox.journal import JsonLines, stamp


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `number` counts from 1 per channel."""

    channel: str
    number: int
    to: str
    text: str
    at: datetime

    def slack_ts(self) -> str:
        """Slack's message id: seconds with six decimals, unique per message."""
        return f"{int(self.at.timestamp())}.{self.at.microsecond:06d}"


class Mailbox:
    """Messages of all channels in the order of arrival; read back from the file after a restart."""

    def __init__(self, path: Path, clock: WorldClock) -> None:
        self._clock = clock
        self._journal = JsonLines(path)
        self._messages = [
            Message(row["channel"], row["number"], row["to"], row["text"], datetime.fromisoformat(row["time"]))
            for row in self._journal.read()
        ]

    def close(self) -> None:
        self._journal.close()

    def receive(self, channel: str, to: str, text: str) -> Message:
        """Keep a message. Two in the same microsecond are told apart, for Slack's id is the time."""
        at = self._clock.wall()
        if self._messages and at <= self._messages[-1].at:
            at = self._messages[-1].at + timedelta(microseconds=1)
        message = Message(channel, len(self.on(channel)) + 1, to, text, at)
        self._messages.append(message)
        row = {"time": stamp(at), "channel": channel, "number": message.number, "to": to, "text": text}
        self._journal.append({**row, "ts": message.slack_ts()} if channel == "slack" else row)
        return message

    def on(self, channel: str) -> list[Message]:
        return [message for message in self._messages if message.channel == channel]

    def noticed(self, message: Message, after_seconds: float) -> bool:
        """Whether the on-call person has had time to see it."""
        return self._clock.wall() >= message.at + timedelta(seconds=after_seconds)
