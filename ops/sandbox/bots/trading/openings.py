"""The equity that a day began with, for venues that do not tell it: kept, so that a restart does not begin it anew.

Without it a bot that has lost its limit would be allowed to lose it again after each restart.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from ..audit import Audit
from ..venue import Account

_SCHEMA = "CREATE TABLE IF NOT EXISTS openings (venue TEXT, day TEXT, equity TEXT NOT NULL, PRIMARY KEY (venue, day))"


class Openings:
    """The first reading of each UTC day and venue, in the audit database."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._known: dict[tuple[str, date], Decimal] = {}
        with audit.own_tables(_SCHEMA):
            return

    def applied(self, venue: str, account: Account, day: date) -> Account:
        """The account with that day's opening as its last equity."""
        if (venue, day) not in self._known:
            self._known = {key: value for key, value in self._known.items() if key[1] == day}
            self._known[venue, day] = self._opening(venue, account.last_equity, day)
        return replace(account, last_equity=self._known[venue, day])

    def _opening(self, venue: str, first: Decimal, day: date) -> Decimal:
        """The one on record, else this reading, which is put on record."""
        key = (venue, day.isoformat())
        with self._audit.own_tables() as connection:
            connection.execute("INSERT INTO openings VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (*key, str(first)))
            row = connection.execute("SELECT equity FROM openings WHERE venue = ? AND day = ?", key).fetchone()
        return Decimal(row[0])
