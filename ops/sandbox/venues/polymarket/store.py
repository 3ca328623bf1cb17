"""The venue's memory: one SQLite file of JSON rows, mode 0600, written at every change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from ops.sandbox.journal import stamp
from ops.sandbox.venues.polymarket.records import Account, Key, Order, Trade

Row = TypeVar("Row", Account, Order, Trade, Key)
_SCHEMA = "CREATE TABLE IF NOT EXISTS rows (kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id))"
_MONEY = {"cash", "qty", "price", "matched"}


class Store:
    """A killed process loses nothing; a power cut may lose the last moments."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def load(self, kind: type[Row], environment: str) -> list[Row]:
        """Every row of that kind and environment, in the order of their sequence."""
        found = self._db.execute(
            "SELECT body FROM rows WHERE kind=? ORDER BY rowid", (f"{environment} {kind.__name__}",)
        )
        return [kind(**_typed(json.loads(body))) for (body,) in found]

    def save(self, environment: str, rows: Iterable[tuple[str, Account | Order | Trade | Key]]) -> None:
        """Writes (id, row) pairs in one transaction."""
        values = [(f"{environment} {type(row).__name__}", name, _packed(row)) for name, row in rows]
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO rows VALUES (?,?,?) ON CONFLICT (kind, id) DO UPDATE SET body=excluded.body", values
        )
        self._db.execute("COMMIT")

    def setting(self, name: str, default: Any) -> Any:
        row = self._db.execute("SELECT body FROM rows WHERE kind='setting' AND id=?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def save_setting(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO rows VALUES ('setting',?,?)", (name, json.dumps(value)))


def _packed(row: Account | Order | Trade | Key) -> str:
    return json.dumps(asdict(row), default=_plain, separators=(",", ":"))


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return stamp(value)
    raise TypeError(f"cannot store {type(value).__name__}")


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """Text back to Decimal and datetime, by the field's name."""
    for name, value in row.items():
        if value is None:
            continue
        if name in _MONEY:
            row[name] = Decimal(value)
        elif name == "at" or name.endswith("_at"):
            row[name] = datetime.fromisoformat(value)
        elif name == "held":
            row[name] = {token: Decimal(qty) for token, qty in value.items()}
    return row
