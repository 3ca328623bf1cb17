"""The decisions in PostgreSQL, in one table that is made on first use."""

from __future__ import annotations

from dataclasses import astuple
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
_CONNECT_SECONDS = 1
_STATEMENT_MS = 500


class DecisionStore:
    """A sink for decisions. Raises ConnectionError, from the start on, if PostgreSQL cannot be used.

    What the driver says is not passed on: its errors can hold the address with the password in it.
    """

    def __init__(self, url: str) -> None:
        try:
            self._driver: Any = import_module("psycopg")
        except ImportError:
            raise ConnectionError("the psycopg library is not installed") from None
        try:
            self._connection = self._driver.connect(
                url, connect_timeout=_CONNECT_SECONDS, options=f"-c statement_timeout={_STATEMENT_MS}", autocommit=True
            )
            self._connection.execute(_SCHEMA)
        except self._driver.Error as error:
            raise ConnectionError(f"PostgreSQL: {type(error).__name__}") from None

    def last_id(self, mode: str, instance: str) -> int:
        """The last decision of this bot in this mode that is there; 0 for none."""
        query = "SELECT coalesce(max(decision_id), 0) FROM ai_decisions WHERE mode = %s AND instance = %s"
        try:
            return int(self._connection.execute(query, (mode, instance)).fetchone()[0])
        except self._driver.Error as error:
            raise ConnectionError(f"PostgreSQL: {type(error).__name__}") from None

    def put(self, decisions: list[Made]) -> None:
        """All of them or none; one that is there already stays as it is."""
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.executemany(_INSERT, [astuple(made) for made in decisions])
        except self._driver.Error as error:
            raise ConnectionError(f"PostgreSQL: {type(error).__name__}") from None
