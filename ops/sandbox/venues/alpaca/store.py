"""The venue's memory: one SQLite file of accounts, orders, fills, keys, settings; written at every change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from ops.sandbox.journal import stamp
from ops.sandbox.venues.alpaca.accounts import Account, Close
from ops.sandbox.venues.alpaca.desk import Desk
from ops.sandbox.venues.alpaca.keys import Key
from ops.sandbox.venues.alpaca.orders import Fill, Mark, Order, Position

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (environment TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders
  (environment TEXT, seq INTEGER, body TEXT NOT NULL, PRIMARY KEY (environment, seq));
CREATE TABLE IF NOT EXISTS fills
  (environment TEXT, seq INTEGER, body TEXT NOT NULL, PRIMARY KEY (environment, seq));
CREATE TABLE IF NOT EXISTS keys (key_id TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""
_MONEY = {
    *("qty", "filled_qty", "cum_qty", "leaves_qty"),
    *("price", "limit_price", "hold_price", "filled_avg_price"),
    *("cash", "cost", "equity", "last_equity"),
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
        if value is None:
            continue
        if name in _MONEY:
            row[name] = Decimal(value)
        elif name == "at" or name.endswith("_at"):
            row[name] = datetime.fromisoformat(value)
    return row


def _order(body: str) -> Order:
    row = _typed(json.loads(body))
    row["marks"] = [Mark(**_typed(mark)) for mark in row["marks"]]
    return Order(**row)


def _account(body: str) -> Account:
    row = _typed(json.loads(body))
    row["positions"] = {symbol: Position(**_typed(held)) for symbol, held in row["positions"].items()}
    row["closes"] = [Close(**_typed(close)) for close in row["closes"]]
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

    def load(self, desk: Desk) -> None:
        """Read a desk's orders and fills back."""
        environment = desk.account.environment
        for (body,) in self._rows("orders", environment):
            desk.adopt(_order(body))
        for (body,) in self._rows("fills", environment):
            desk.keep(Fill(**_typed(json.loads(body))))

    def save(self, desk: Desk) -> None:
        """Write what changed since the last call, in one transaction; free when nothing did."""
        if not (desk.dirty or desk.new_fills or desk.account_changed):
            return
        environment = desk.account.environment
        orders = [(environment, order.seq, _packed(order)) for order in desk.dirty.values()]
        fills = [(environment, fill.seq, _packed(fill)) for fill in desk.new_fills]
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO orders VALUES (?,?,?)", orders)
        self._db.executemany("INSERT OR REPLACE INTO fills VALUES (?,?,?)", fills)
        self._db.execute("INSERT OR REPLACE INTO accounts VALUES (?,?)", (environment, _packed(desk.account)))
        self._db.execute("COMMIT")
        desk.dirty.clear()
        desk.new_fills.clear()
        desk.account_changed = False

    def issued_keys(self) -> list[Key]:
        rows = self._db.execute("SELECT body FROM keys").fetchall()
        return [Key(**_typed(json.loads(body))) for (body,) in rows]

    def save_keys(self, keys: Iterable[Key]) -> None:
        rows = [(key.key_id, _packed(key)) for key in keys]
        self._db.executemany("INSERT OR REPLACE INTO keys VALUES (?,?)", rows)

    def setting(self, name: str, default: Any) -> Any:
        row = self._db.execute("SELECT body FROM settings WHERE name=?", (name,)).fetchone()
        return json.loads(row[0]) if row is not None else default

    def save_setting(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?,?)", (name, json.dumps(value)))

    def _rows(self, table: str, environment: str) -> list[tuple[str]]:
        return self._db.execute(
            f"SELECT body FROM {table} WHERE environment=? ORDER BY seq",
            (environment,),
        ).fetchall()
