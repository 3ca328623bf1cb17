"""The venue's memory: one SQLite file of accounts, orders, executions and settings; written at every change."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from ops.sandbox.journal import stamp
from ops.sandbox.venues.ibkr.book import Book, Changes
from ops.sandbox.venues.ibkr.orders import Account, Fill, Mark, Order, Position

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (environment TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders
  (environment TEXT, number INTEGER, body TEXT NOT NULL, PRIMARY KEY (environment, number));
CREATE TABLE IF NOT EXISTS fills
  (environment TEXT, number INTEGER, body TEXT NOT NULL, PRIMARY KEY (environment, number));
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""
_MONEY = {
    *("qty", "filled", "cum_qty", "cost", "paid", "cash", "last_equity"),
    *("price", "limit_price", "stop_price", "hold_price", "last_price", "average_price"),
}


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return stamp(value)
    raise TypeError(f"cannot store {type(value).__name__}")


def _packed(thing: Any) -> str:
    return json.dumps(asdict(thing), default=_plain, separators=(",", ":"))


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """Text back to Decimal and datetime, by the field's name: money as listed, times end in _at."""
    for name, value in row.items():
        if isinstance(value, str) and name in _MONEY:
            row[name] = Decimal(value)
        elif isinstance(value, str) and (name == "at" or name.endswith("_at")):
            row[name] = datetime.fromisoformat(value)
    return row


def _order(body: str) -> Order:
    row = _typed(json.loads(body))
    row["marks"] = [Mark(**_typed(mark)) for mark in row["marks"]]
    return Order(**row)


def _account(body: str) -> Account:
    row = _typed(json.loads(body))
    row["positions"] = {symbol: Position(**_typed(held)) for symbol, held in row["positions"].items()}
    return Account(**row)


class Store:
    """Mode 0600. A killed process loses nothing; a power cut may lose the last moments."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def account(self, environment: str) -> Account | None:
        row = self._db.execute("SELECT body FROM accounts WHERE environment=?", (environment,)).fetchone()
        return _account(row[0]) if row is not None else None

    def load(self, book: Book) -> None:
        """Read a book's orders and executions back."""
        for body in self._bodies("orders", book.account.environment):
            book.adopt(_order(body))
        for body in self._bodies("fills", book.account.environment):
            book.keep(Fill(**_typed(json.loads(body))))

    def save(self, book: Book) -> None:
        """Write what changed since the last call, in one transaction; free when nothing did."""
        if not book.changes:
            return
        environment, changes = book.account.environment, book.changes
        orders = [(environment, order.perm_id, _packed(order)) for order in changes.orders.values()]
        fills = [(environment, fill.seq, _packed(fill)) for fill in changes.fills]
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO orders VALUES (?,?,?)", orders)
        self._db.executemany("INSERT OR REPLACE INTO fills VALUES (?,?,?)", fills)
        self._db.execute("INSERT OR REPLACE INTO accounts VALUES (?,?)", (environment, _packed(book.account)))
        self._db.execute("COMMIT")
        book.changes = Changes(account=False)

    def setting(self, name: str, default: Any) -> Any:
        row = self._db.execute("SELECT body FROM settings WHERE name=?", (name,)).fetchone()
        return json.loads(row[0]) if row is not None else default

    def save_setting(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?,?)", (name, json.dumps(value)))

    def _bodies(self, table: str, environment: str) -> list[str]:
        rows = self._db.execute(f"SELECT body FROM {table} WHERE environment=? ORDER BY number", (environment,))
        return [body for (body,) in rows.fetchall()]
