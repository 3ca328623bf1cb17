"""The bot's log: one line per event in `<BOT_HOME>/var/log/bot.log`, stamped by the injected clock."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from .clock import Clock, stamp

FILE_MAX_BYTES = 5_000_000
FILES_KEPT = 9


class _Line(logging.Formatter):
    """`2026-11-20T14:00:00.000000Z INFO bot message`, with every known secret blotted out.

    The blotting is the second line of defence: nothing here logs a secret, a library's exception might.
    """

    def __init__(self, clock: Clock, secrets: Iterable[str]) -> None:
        super().__init__()
        self._clock = clock
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        text = f"{stamp(self._clock.now())} {record.levelname} bot {record.getMessage()}"
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        for secret in self._secrets:
            text = text.replace(secret, "****")
        return text


def open_log(home: Path, clock: Clock, secrets: Iterable[str] = ()) -> logging.Logger:
    """A logger of its own (not in the global registry, so that two bots can live in one process)."""
    path = home / "var" / "log" / "bot.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=FILE_MAX_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
    handler.setFormatter(_Line(clock, secrets))
    logger = logging.Logger("bot", logging.INFO)
    logger.addHandler(handler)
    return logger


def close_log(logger: logging.Logger) -> None:
    """Close the file; the logger writes nothing afterwards."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
