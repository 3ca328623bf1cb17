"""A simulated venue's memory: dataclasses as JSON rows of one SQLite file, written at every change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ops.sandbox.journal import stamp
from ops.sandbox.venues.desk import Desk

Thing = TypeVar("Thing")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS things (kind TEXT, place TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, place, id))
"""
# An upsert leaves a row where it is, so that things come back in the order in which they were first written.
_PUT = "INSERT INTO things VALUES (?,?,?,?) ON CONFLICT (kind, place, id) DO UPDATE SET body=excluded.body"


class Store:
    """Mode 0600. A killed process loses nothing; a power cut may lose the last moments."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def load(self, kind: type[Thing], place: str = "") -> list[Thing]:
        """Every thing of a dataclass and a place (an environment, or none), in the order of their first writing."""
        query = "SELECT body FROM things WHERE kind=? AND place=? ORDER BY rowid"
        found = self._db.execute(query, (kind.__name__, place)).fetchall()
        return [_restored(kind, json.loads(body)) for (body,) in found]

    def account(self, kind: type[Thing], environment: str) -> Thing | None:
        """The one account of an environment, None before the first save."""
        return next(iter(self.load(kind, environment)), None)

    def save(self, things: Iterable[tuple[str, Any]], place: str = "") -> None:
        """Write (id, dataclass) pairs in one transaction; free when there are none."""
        rows = [(type(thing).__name__, place, name, _packed(thing)) for name, thing in things]
        if not rows:
            return
        self._db.execute("BEGIN")
        self._db.executemany(_PUT, rows)
        self._db.execute("COMMIT")

    def fill_desk(self, desk: Desk[Any, Any, Any], order: type[Any], fill: type[Any]) -> None:
        """Give a new desk the orders and the fills of an earlier run."""
        for known in self.load(order, desk.account.environment):
            desk.adopt(known)
        for known in self.load(fill, desk.account.environment):
            desk.keep(known)
        self.save_desk(desk)

    def save_desk(self, desk: Desk[Any, Any, Any]) -> None:
        """Write what changed since the last call; free when nothing did."""
        if not (desk.dirty or desk.new_fills or desk.account_changed):
            return
        fills = [(str(fill.seq), fill) for fill in desk.new_fills]
        self.save([*desk.dirty.items(), *fills, ("", desk.account)], desk.account.environment)
        desk.dirty.clear()
        desk.new_fills.clear()
        desk.account_changed = False

    def setting(self, name: str, default: Any) -> Any:
        """A value that JSON can hold, as it was saved."""
        row = self._db.execute("SELECT body FROM things WHERE kind='setting' AND id=?", (name,)).fetchone()
        return json.loads(row[0]) if row is not None else default

    def save_setting(self, name: str, value: Any) -> None:
        """Remember it over a restart."""
        self._db.execute(_PUT, ("setting", "", name, json.dumps(value)))


def _packed(thing: Any) -> str:
    return json.dumps(asdict(thing), default=_plain, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, set):
        return []  # what is known of the present run only: recent nonces
    raise TypeError(f"cannot store {type(value).__name__}")


@cache
def _declared(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _restored(kind: Any, value: Any) -> Any:
    """What JSON holds as the type that is declared for it."""
    if isinstance(kind, UnionType):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    if value is None:
        return None
    if is_dataclass(kind) and isinstance(kind, type):
        return kind(**{name: _restored(_declared(kind)[name], part) for name, part in value.items()})
    outer, inner = get_origin(kind), get_args(kind)
    if outer is dict:
        return {name: _restored(inner[1], part) for name, part in value.items()}
    if outer in (list, set, tuple):
        return outer(_restored(inner[0], part) for part in value)
    if kind is datetime:
        return datetime.fromisoformat(value)
    return Decimal(value) if kind is Decimal else value
