"""The world's clock: the only place of the simulated world that reads the machine's time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime


def _machine_time() -> datetime:
    return datetime.now(UTC)


class WorldClock:
    """Venue time, which tests and the simulated week may pin, and wall time, which nobody may."""

    def __init__(self, wall: Callable[[], datetime] = _machine_time) -> None:
        self._wall = wall
        self._pinned: datetime | None = None

    @property
    def pinned(self) -> bool:
        return self._pinned is not None

    def now(self) -> datetime:
        """Venue time in UTC: the pinned instant, else wall time."""
        return self._pinned if self._pinned is not None else self._wall()

    def wall(self) -> datetime:
        """Wall time in UTC. Monitoring and channels live on it: a scrape is real even in a simulated week."""
        return self._wall()

    def pin(self, at: datetime | None) -> None:
        """Hold venue time at `at`; None lets it run again.

        Raises ValueError for a time without a zone.
        """
        if at is not None and at.tzinfo is None:
            raise ValueError(f"the venue clock needs a time with a zone, got {at.isoformat()}")
        self._pinned = at.astimezone(UTC) if at is not None else None
