"""The venue's memory: one SQLite file of accounts, orders, fills, keys, settings; written at every change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from ops.sandbox.journal import stamp
from ops.sandbox.venues.kraken.desk import Desk
from ops.sandbox.venues.kraken.keys import Key
from ops.sandbox.venues.kraken.orders import Account, Fill, Order

Thing = TypeVar("Thing", Account, Order, Fill, Key)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS things
  (kind TEXT, place TEXT, id TEXT, seq INTEGER, body TEXT NOT NULL, PRIMARY KEY (kind, place, id));
"""


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, set):
        return []  # recent nonces: after a restart none below the highest is taken any more
    raise TypeError(f"cannot store {type(value).__name__}")


def _restored(kind: type[Thing], body: str) -> Thing:
    """Text back to Decimal, datetime, set and tuple, by the field's declared type."""
    row = json.loads(body)
    for field in fields(kind):
        declared, value = str(field.type), row[field.name]
        if value is None:
            continue
        if declared.startswith("dict"):
            row[field.name] = {name: Decimal(amount) for name, amount in value.items()}
        elif declared.startswith("Decimal"):
            row[field.name] = Decimal(value)
        elif declared.startswith("datetime"):
            row[field.name] = datetime.fromisoformat(value)
        elif declared.startswith(("set", "tuple")):
            row[field.name] = set(value) if declared.startswith("set") else tuple(value)
    return kind(**row)


class Store:
    """Mode 0600. A killed process loses nothing but the last nonces; a power cut may lose the last moments."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def account(self, environment: str) -> Account | None:
        return next((_restored(Account, body) for body in self._bodies("account", environment)), None)

    def load(self, desk: Desk) -> None:
        """Read a desk's orders and fills back."""
        for body in self._bodies("order", desk.account.environment):
            desk.adopt(_restored(Order, body))
        for body in self._bodies("fill", desk.account.environment):
            desk.keep(_restored(Fill, body))

    def save(self, desk: Desk) -> None:
        """Write what changed since the last call, in one transaction; free when nothing did."""
        if not (desk.dirty or desk.new_fills or desk.account_changed):
            return
        place = desk.account.environment
        self._write(
            [
                *(("order", place, order.txid, order.seq, order) for order in desk.dirty.values()),
                *(("fill", place, fill.id, fill.seq, fill) for fill in desk.new_fills),
                ("account", place, "", 0, desk.account),
            ]
        )
        desk.dirty.clear()
        desk.new_fills.clear()
        desk.account_changed = False

    def issued_keys(self) -> list[Key]:
        found = [_restored(Key, body) for body in self._bodies("key", "")]
        for key in found:
            key.floor = key.nonce
        return found

    def save_keys(self, keys: Iterable[Key]) -> None:
        """Writes those whose nonce moved, or that are new."""
        moved = [key for key in keys if key.dirty]
        if moved:
            self._write([("key", "", key.key_id, 0, key) for key in moved])
            for key in moved:
                key.dirty = False

    def setting(self, name: str, default: Any) -> Any:
        row = self._db.execute("SELECT body FROM things WHERE kind='setting' AND id=?", (name,)).fetchone()
        return json.loads(row[0]) if row is not None else default

    def save_setting(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO things VALUES ('setting','',?,0,?)", (name, json.dumps(value)))

    def _write(self, rows: list[tuple[str, str, str, int, Any]]) -> None:
        packed = [(*row[:4], json.dumps(asdict(row[4]), default=_plain, separators=(",", ":"))) for row in rows]
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO things VALUES (?,?,?,?,?)", packed)
        self._db.execute("COMMIT")

    def _bodies(self, kind: str, place: str) -> Iterator[str]:
        found = self._db.execute("SELECT body FROM things WHERE kind=? AND place=? ORDER BY seq", (kind, place))
        yield from (body for (body,) in found.fetchall())
