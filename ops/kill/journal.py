"""The flatten's journal: each closing order stands in it, durably, before it is sent; a second flatten goes on with it.

One file per system beside the kill targets. An operation that is not over keeps its id, and so its orders keep theirs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from ops.errors import InputError
from ops.kill.targets import VenueTarget, folder
from ops.model.canonical import utc_text, utc_time


class Journal:
    """One system's. Raises InputError where it cannot be read or written: without it no order is sent."""

    def __init__(self, state: Path, system: str, new_id: Callable[[], str], clock: Callable[[], datetime]) -> None:
        self.path, self._clock, self._lock = folder(state) / f"{system}.flatten.jsonl", clock, Lock()
        self._rows = self._read()
        begun = [row for row in self._rows if row["event"] == "begun"]
        if not begun or self._rows[-1]["event"] == "flat":
            self._append({"event": "begun", "operation": new_id()})
            begun, self._rows = [self._rows[-1]], [self._rows[-1]]
        self.operation = str(begun[-1]["operation"])
        self._rows = self._rows[self._rows.index(begun[-1]) :]

    def last(self, venue: VenueTarget, symbol: str) -> Mapping[str, Any] | None:
        """The newest closing order that was intended for a position, sent or not; None if there is none yet."""
        rows = [
            r for r in self._rows if r["event"] == "intended" and (r["account"], r["symbol"]) == (venue.name, symbol)
        ]
        return rows[-1] if rows else None

    def intend(self, venue: VenueTarget, symbol: str, qty: str) -> str:
        """The client id of the next closing order of a position, written down before it is returned."""
        before = self.last(venue, symbol)
        number = before["number"] + 1 if before else 1
        client_id = closing_id(self.operation, venue, symbol, number)
        row = {"event": "intended", "account": venue.name, "symbol": symbol, "qty": qty, "number": number}
        self._append({**row, "client_id": client_id})
        return client_id

    def age_seconds(self, row: Mapping[str, Any]) -> float:
        """How long ago it was written down."""
        return (self._clock() - utc_time(row["at"])).total_seconds()

    def lifted(self, venue: VenueTarget) -> None:
        """The venue's halt is about to be lifted, so that it takes the closing orders."""
        self._append({"event": "halt lifted", "account": venue.name})

    def over(self) -> None:
        """Everything was seen flat: the next flatten is another operation."""
        self._append({"event": "flat"})

    def _read(self) -> list[dict[str, Any]]:
        """A line that a crash cut off was never acted upon: away with it, or the next one would glue itself to it."""
        try:
            text = self.path.read_text() if self.path.exists() else ""
            whole = text.rpartition("\n")[0] + "\n" if "\n" in text else ""
            if whole != text:
                os.truncate(self.path, len(whole.encode()))
            rows = [json.loads(line) for line in whole.splitlines()]
        except (OSError, ValueError):
            raise InputError("the flatten's journal cannot be read", file=self.path, remedy="set it aside") from None
        if not all(isinstance(row, dict) and "event" in row for row in rows):
            raise InputError("the flatten's journal is damaged", file=self.path, remedy="set it aside")
        return rows

    def _append(self, row: dict[str, Any]) -> None:
        row = {**row, "at": utc_text(self._clock())}
        try:
            with (
                self._lock,
                os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as stream,
            ):
                stream.write(json.dumps(row) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise InputError(f"the journal cannot be written: {error.strerror}", file=self.path) from None
        self._rows.append(row)


def closing_id(operation: str, venue: VenueTarget, symbol: str, number: int) -> str:
    """18 lower-case letters and digits, the narrowest form that any venue takes (Kraken; venues 3.5)."""
    mark = hashlib.sha256(f"{operation}/{venue.name}/{symbol}/{number}".encode()).hexdigest()
    return f"il{mark[:16]}"
