"""The ledger on disk: SQLite, WAL, synchronous FULL. Its only writers are the conductors on floor 3."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.errors import InterlockError
from ops.model.canonical import utc_text
from ops.model.record import GENESIS, Record, chained, first_break, parsed

# AUTOINCREMENT keeps the highest number ever given in sqlite_sequence: records cut off the end are noticed.
_SCHEMA = (
    "create table if not exists records (seq integer primary key autoincrement, line text not null, hash text not null)"
)


class LedgerUnavailable(InterlockError):
    """The ledger cannot be written or read. Nothing may raise risk without it; kill and its spool go on."""


class Ledger:
    """One environment's ledger. `clock` gives the time (UTC) of each record."""

    def __init__(self, path: Path, actor: str, clock: Callable[[], datetime]) -> None:
        self.path, self.actor, self._clock = path, actor, clock

    def append(self, kind: str, body: Mapping[str, Any]) -> Record:
        """Durable before it returns. Raises LedgerUnavailable, with nothing written, if it cannot be."""
        try:
            with self._open() as connection:
                connection.execute("begin immediate")
                row = connection.execute("select seq, hash from records order by seq desc limit 1").fetchone()
                given = connection.execute("select seq from sqlite_sequence where name = 'records'").fetchone()
                # One more than was ever given, not than what is there: what was cut off stays missing.
                seq, prev = (given[0] if given else 0) + 1, row[1] if row else GENESIS
                record = chained(seq, prev, kind, utc_text(self._clock()), self.actor, body)
                connection.execute(
                    "insert into records (seq, line, hash) values (?, ?, ?)", (seq, record.line, record.hash)
                )
                connection.execute("commit")
                return record
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailable(f"{self.path}: cannot be written: {error}") from None

    def records(self) -> list[Record]:
        """All records, oldest first; none if nothing was ever written."""
        return [parsed(line, stored) for _, line, stored in self._rows()]

    def head(self) -> tuple[int, str]:
        """Sequence number and hash of the newest record; (0, GENESIS) before the first."""
        rows = self._rows("order by seq desc limit 1")
        return (rows[0][0], rows[0][2]) if rows else (0, GENESIS)

    def hash_at(self, seq: int) -> str | None:
        """The hash of one record; GENESIS for 0; None if there is no such record."""
        if seq == 0:
            return GENESIS
        rows = self._rows(f"where seq = {int(seq)}")
        return rows[0][2] if rows else None

    def broken_at(self) -> tuple[int, str] | None:
        """The first record at which the chain does not hold, and why; None if it holds to its end."""
        rows = self._rows()
        broken = first_break(rows)
        if broken is None and self.path.exists():
            highest = self._highest_given()
            if highest != (rows[-1][0] if rows else 0):
                return len(rows) + 1, f"records {len(rows) + 1} to {highest} were cut off the end"
        return broken

    def _highest_given(self) -> int:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            row = connection.execute("select seq from sqlite_sequence where name = 'records'").fetchone()
        return int(row[0]) if row else 0

    def _rows(self, tail: str = "order by seq") -> list[tuple[int, str, str]]:
        if not self.path.exists():
            return []
        try:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5)) as connection:
                return connection.execute(f"select seq, line, hash from records {tail}").fetchall()
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"{self.path}: cannot be read: {error}") from None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(self.path, timeout=10, isolation_level=None)) as connection:
            connection.execute("pragma journal_mode=wal")
            connection.execute("pragma synchronous=full")
            connection.execute(_SCHEMA)
            yield connection
