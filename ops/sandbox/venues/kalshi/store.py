"""The venue's memory: one SQLite file of accounts, orders, fills, keys and settings; written at every change."""

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
from ops.sandbox.venues.kalshi.desk import Desk
from ops.sandbox.venues.kalshi.keys import Key
from ops.sandbox.venues.kalshi.orders import Account, Fill, Group, Mark, Order, Position, Ticket

_SCHEMA = """
CREATE TABLE IF NOT EXISTS things
  (kind TEXT, environment TEXT, seq INTEGER, body TEXT NOT NULL, PRIMARY KEY (kind, environment, seq));
CREATE TABLE IF NOT EXISTS keys (key_id TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"d|{value}"
    if isinstance(value, datetime):
        return f"t|{stamp(value)}"
    raise TypeError(f"cannot store {type(value).__name__}")


def _packed(thing: Any) -> str:
    return json.dumps(asdict(thing), default=_plain, separators=(",", ":"))


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """Marked text back to Decimal and datetime; no id or ticker has a bar in it."""
    for name, value in row.items():
        if isinstance(value, str) and value.startswith("d|"):
            row[name] = Decimal(value[2:])
        elif isinstance(value, str) and value.startswith("t|"):
            row[name] = datetime.fromisoformat(value[2:])
    return row


def _read(body: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(body, object_hook=_typed)
    return row


def _order(body: str) -> Order:
    row = _read(body)
    return Order(**{**row, "ticket": Ticket(**row["ticket"]), "marks": [Mark(**mark) for mark in row["marks"]]})


def _account(body: str) -> Account:
    row = _read(body)
    groups = {name: {**one, "recent": [Mark(**mark) for mark in one["recent"]]} for name, one in row["groups"].items()}
    row["groups"] = {name: Group(**one) for name, one in groups.items()}
    row["positions"] = {ticker: Position(**held) for ticker, held in row["positions"].items()}
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
        bodies = self._bodies("account", environment)
        return _account(bodies[0]) if bodies else None

    def load(self, desk: Desk) -> None:
        """Read a desk's orders and fills back."""
        for body in self._bodies("order", desk.account.environment):
            desk.adopt(_order(body))
        for body in self._bodies("fill", desk.account.environment):
            desk.keep(Fill(**_read(body)))

    def save(self, desk: Desk) -> None:
        """Write what changed since the last call, in one transaction; free when nothing did."""
        if not (desk.dirty or desk.new_fills or desk.account_changed):
            return
        place = desk.account.environment
        rows = [("order", place, order.seq, _packed(order)) for order in desk.dirty.values()]
        rows += [("fill", place, fill.seq, _packed(fill)) for fill in desk.new_fills]
        rows.append(("account", place, 0, _packed(desk.account)))
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO things VALUES (?,?,?,?)", rows)
        self._db.execute("COMMIT")
        desk.dirty.clear()
        desk.new_fills.clear()
        desk.account_changed = False

    def issued_keys(self) -> list[Key]:
        return [Key(**json.loads(body)) for (body,) in self._db.execute("SELECT body FROM keys")]

    def save_keys(self, keys: Iterable[Key]) -> None:
        rows = [(key.key_id, _packed(key)) for key in keys]
        self._db.executemany("INSERT OR REPLACE INTO keys VALUES (?,?)", rows)

    def setting(self, name: str, default: Any) -> Any:
        row = self._db.execute("SELECT body FROM settings WHERE name=?", (name,)).fetchone()
        return json.loads(row[0]) if row is not None else default

    def save_setting(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?,?)", (name, json.dumps(value)))

    def _bodies(self, kind: str, environment: str) -> list[str]:
        query = "SELECT body FROM things WHERE kind=? AND environment=? ORDER BY seq"
        return [body for (body,) in self._db.execute(query, (kind, environment))]
