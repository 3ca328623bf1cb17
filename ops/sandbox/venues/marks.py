"""What an order went through: the past that a lagging read side still shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(slots=True)
class Mark:
    """One change of state: what the order looked like from then on. `filled` in units of the order."""

    at: datetime
    status: str
    filled: Decimal


class Marked:
    """An order that remembers its marks, oldest first."""

    __slots__ = ()
    marks: list[Mark]

    def seen_at(self, at: datetime) -> Mark | None:
        """The order's state at an earlier instant, None when it did not exist yet."""
        return next((mark for mark in reversed(self.marks) if mark.at <= at), None)
