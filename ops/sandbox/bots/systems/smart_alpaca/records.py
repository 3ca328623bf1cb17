"""What the server of seed 003 keeps beside the audit database: jobs in Redis, decisions in PostgreSQL.

Both are copies of what the audit database holds already, for those who look there: a server that is away is logged and
shown, delays nothing for longer than its timeout, is tried again later, and is then given what it has missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from ...habits import Habits
from .queue import BullQueue
from .store import DecisionStore

if TYPE_CHECKING:
    from ...loop import Worker

RETRY = timedelta(seconds=30)
BATCH = 200


@dataclass(frozen=True)
class Made:
    """One decision as it stands in the audit database."""

    id: int
    at: str
    mode: str
    instance: str
    symbol: str
    action: str
    outcome: str
    reason: str
    client_order_id: str | None


class Sink(Protocol):
    """Where copies go. Both methods raise ConnectionError if the server cannot be used now."""

    def last_id(self, mode: str, instance: str) -> int:
        """The last decision of this bot in this mode that is there; 0 for none."""

    def put(self, decisions: list[Made]) -> None:
        """Adds them, all or none."""


class Feed:
    """One sink, its state, and how far it has come."""

    def __init__(self, name: str, connect: Callable[[], Sink] | None) -> None:
        self.name, self._connect = name, connect
        self.state = "not configured" if connect is None else "not connected yet"
        self._sink: Sink | None = None
        self._reached = 0
        self._next_try: datetime | None = None

    def follow(self, worker: Worker) -> None:
        """Hands over what is new, a batch at most."""
        now = worker.clock.now()
        if self._connect is None or (self._next_try is not None and now < self._next_try):
            return
        try:
            self._hand_over(worker, self._connect)
        except ConnectionError as error:
            if self._next_try is None:
                worker.log.warning("%s: %s", self.name, error)
            self._sink, self._next_try, self.state = None, now + RETRY, f"away: {error}"

    def _hand_over(self, worker: Worker, connect: Callable[[], Sink]) -> None:
        if self._sink is None:
            self._sink = connect()
            self._reached = self._sink.last_id(worker.settings.mode, worker.settings.instance)
        fresh = decisions_after(worker, self._reached)
        if fresh:
            self._sink.put(fresh)
            self._reached = fresh[-1].id
        self.state, self._next_try = "connected", None


def decisions_after(worker: Worker, number: int) -> list[Made]:
    """The next decisions on record, oldest first."""
    query = (
        "SELECT id, at, mode, instance, symbol, action, outcome, reason, client_order_id FROM decisions"
        " WHERE id > ? ORDER BY id LIMIT ?"
    )
    with worker.audit.own_tables() as connection:
        return [Made(*row) for row in connection.execute(query, (number, BATCH))]


class ServerRecords(Habits):
    """The habits of seed 003: feed the queue and the store after each loop, then tell who listens."""

    def __init__(self, redis_url: str, database_url: str) -> None:
        self.queue = Feed("queue", (lambda: BullQueue(redis_url)) if redis_url else None)
        self.database = Feed("database", (lambda: DecisionStore(database_url)) if database_url else None)
        self.listeners: list[Callable[[], None]] = []

    def end(self, worker: Worker) -> None:
        """After a loop."""
        self.queue.follow(worker)
        self.database.follow(worker)
        for tell in tuple(self.listeners):
            tell()
