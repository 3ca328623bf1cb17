"""The bot's switch: persistent, append-only.

The words are `tripped` and `armed`; each surface translates them to its seed's own. Where the seed names no switch this
is only what holds the bot's own halts (a limit, an account of the other mode) until the gate was set and lifted again.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .clock import Clock, stamp

FIRST_START = "first start"
UNREADABLE = "switch state unreadable"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS changes (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, tripped INTEGER NOT NULL, reason TEXT NOT NULL
)
"""


@dataclass(frozen=True)
class SwitchState:
    """Where the switch stands, why, and since when (ISO-8601 UTC)."""

    tripped: bool
    reason: str
    since: str


def gate_present(gate: Path) -> bool:
    """Existence alone counts, even of a dangling link; any error while looking counts as present."""
    try:
        gate.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


class Switch:
    """The state is held in memory and on disk; this process is its only writer."""

    def __init__(self, path: Path, clock: Clock, armed_at_first: bool = False) -> None:
        """Open or create the file. One that cannot be read leaves the switch tripped, never armed.

        `armed_at_first` is for a bot whose only switch is the gate file.
        """
        self._clock, self._armed_at_first = clock, armed_at_first
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._connection.execute("PRAGMA synchronous = EXTRA")
            self._connection.execute(_SCHEMA)
            self._state = self._load()
            self._rearmed_at = self._last_rearm()
        except sqlite3.Error:
            self._state = SwitchState(True, UNREADABLE, stamp(clock.now()))
            self._rearmed_at = None

    def _load(self) -> SwitchState:
        last = "SELECT tripped, reason, at FROM changes ORDER BY id DESC LIMIT 1"
        row = self._connection.execute(last).fetchone()
        if row is None:
            state = SwitchState(not self._armed_at_first, FIRST_START, stamp(self._clock.now()))
            self._persist(state)
            return state
        return SwitchState(bool(row[0]), str(row[1]), str(row[2]))

    def _last_rearm(self) -> datetime | None:
        row = self._connection.execute("SELECT max(at) FROM changes WHERE tripped = 0").fetchone()
        return None if row[0] is None else datetime.fromisoformat(row[0])

    def _persist(self, state: SwitchState) -> None:
        insert = "INSERT INTO changes (at, tripped, reason) VALUES (?, ?, ?)"
        self._connection.execute(insert, (state.since, int(state.tripped), state.reason))

    @property
    def state(self) -> SwitchState:
        return self._state

    def trip(self, reason: str) -> SwitchState:
        """Halt. Repeating the same reason changes nothing; another reason replaces the one before.

        It replaces it so that a re-arm prepared for the earlier halt no longer matches. Memory comes first:
        if the disk then fails, sqlite3.Error is raised and the bot is halted all the same.
        """
        with self._lock:
            if self._state.tripped and self._state.reason == reason:
                return self._state
            self._state = SwitchState(True, reason, stamp(self._clock.now()))
            self._persist(self._state)
            return self._state

    def rearm(self, expected_reason: str) -> bool:
        """Arm again if the switch is tripped for exactly that reason; False and no change otherwise."""
        with self._lock:
            if not self._state.tripped or self._state.reason != expected_reason:
                return False
            state = SwitchState(False, "re-armed", stamp(self._clock.now()))
            self._persist(state)
            self._state, self._rearmed_at = state, datetime.fromisoformat(state.since)
            return True

    @property
    def rearmed_at(self) -> datetime | None:
        """The last re-arm: whoever did it has looked at the fills before it."""
        return self._rearmed_at

    def close(self) -> None:
        self._connection.close()
