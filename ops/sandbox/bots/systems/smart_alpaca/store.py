"""The decisions in PostgreSQL, in one table that is made on first use."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import astuple
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records import Made

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ai_decisions (
    decision_id bigint NOT NULL, at timestamptz NOT NULL, mode text NOT NULL, instance text NOT NULL,
    symbol text NOT NULL, action text NOT NULL, outcome text NOT NULL, reason text NOT NULL, client_order_id text,
    PRIMARY KEY (mode, instance, decision_id)
)
"""
_INSERT = "INSERT INTO ai_decisions VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
_LAST = "SELECT decision_id, at FROM ai_decisions WHERE mode = %s AND instance = %s ORDER BY decision_id DESC LIMIT 1"
_SAME = """
SELECT 1 FROM ai_decisions WHERE decision_id = %s AND at = %s AND mode = %s AND instance = %s AND symbol = %s
AND action = %s AND outcome = %s AND reason = %s AND client_order_id IS NOT DISTINCT FROM %s
"""
_CONNECT_SECONDS = 2  # the least that libpq takes
_ANSWER_SECONDS = 1.0


class DecisionStore:
    """A sink for decisions. Each method raises ConnectionError if PostgreSQL cannot be used.

    What the driver says is not passed on: its errors can hold the address with the password in it.
    Nothing is set at the server: a pooler in front of it would hand our settings to others.
    """

    def __init__(self, url: str, mode: str, instance: str) -> None:
        self._of = (mode, instance)
        try:
            self._driver: Any = import_module("psycopg")
        except ImportError:
            raise ConnectionError("the psycopg library is not installed") from None
        words = {"connect_timeout": _CONNECT_SECONDS, "prepare_threshold": None, "autocommit": True}
        try:
            self._connection: Any = self._driver.connect(url, **words)
        except self._driver.Error as error:
            raise ConnectionError(f"PostgreSQL: {type(error).__name__}") from None
        with self._asking():
            self._connection.execute(_SCHEMA)

    def last(self) -> tuple[int, datetime] | None:
        """Number and time of the last decision that is there."""
        with self._asking():
            row = self._connection.execute(_LAST, self._of).fetchone()
        return (int(row[0]), row[1]) if row else None

    def put(self, decisions: list[Made], _after: tuple[int, datetime] | None) -> None:
        """All of them or none; one that is there already stays as it is."""
        with self._asking(), self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(_INSERT, [astuple(made) for made in decisions])

    def holds(self, made: Made) -> bool:
        """Whether this very decision is there, the same in every column."""
        with self._asking():
            return self._connection.execute(_SAME, astuple(made)).fetchone() is not None

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """A server that stands still answers nothing, not even that it timed out: after a second we hang up."""
        timer = threading.Timer(_ANSWER_SECONDS, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        except self._driver.Error as error:
            raise ConnectionError(f"PostgreSQL: {type(error).__name__}") from None
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError, self._driver.Error):  # it has ended by itself
            line = socket.socket(fileno=os.dup(self._connection.fileno()))
            line.shutdown(socket.SHUT_RDWR)
            line.close()
