"""The bot's log: one line per event, stamped by the injected clock. Each system names its own files."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from .clock import Clock, stamp

FILE_MAX_BYTES = 5_000_000
"""Seed 001 wants its logs below 10 MB."""
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


def open_log(path: Path, clock: Clock, secrets: Iterable[str] = (), anomalies: Path | None = None) -> logging.Logger:
    """A logger of its own (not in the global registry, so that two bots can live in one process).

    `anomalies` is a second file that takes warnings and errors only.
    """
    line = _Line(clock, secrets)
    logger = logging.Logger("bot", logging.INFO)
    for file, level in ((path, logging.INFO), (anomalies, logging.WARNING)):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            handler = RotatingFileHandler(file, maxBytes=FILE_MAX_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
            handler.setFormatter(line)
            handler.setLevel(level)
            logger.addHandler(handler)
    return logger


def close_log(logger: logging.Logger) -> None:
    """Close the files; the logger writes nothing afterwards."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
