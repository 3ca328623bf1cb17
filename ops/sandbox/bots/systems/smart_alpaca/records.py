"""What the server of seed 003 keeps beside the audit database: decisions in PostgreSQL, a job for each in Redis.

Both are copies of what the audit database holds already, and that one is written before an order is sent. So a server
that is away stops no trading: the health says `degraded`, the log says it once, a loop waits for its deadline at most,
and when it is back it is given what it has missed. The work of a job is to prove its decision: the worker takes it when
the database must have the decision, and completes it if it has that very one. While PostgreSQL is away jobs wait.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ...trading.habits import Habits
from .queue import BullQueue
from .store import DecisionStore

if TYPE_CHECKING:
    from ...trading.loop import Worker

RETRY = timedelta(seconds=30)
BATCH = 200
NO_LIMIT = 2**53

Mark = tuple[int, datetime]


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

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.at)


class Sink(Protocol):
    """Where one bot's decisions in one mode are copied to. Each method raises ConnectionError if that cannot be."""

    def last(self) -> Mark | None:
        """Number and time of the last decision that is there."""

    def put(self, decisions: list[Made], after: Mark | None) -> None:
        """Adds them, all or none; `after` is what `last` must be."""

    def close(self) -> None:
        """Ends the connection."""


_Sink = TypeVar("_Sink", bound=Sink)
_Answer = TypeVar("_Answer")


class Feed(Generic[_Sink]):
    """One sink, its state, and how far it has come. `tend` is called with the sink in each loop in which it answers."""

    def __init__(
        self,
        name: str,
        connect: Callable[[Worker], _Sink] | None,
        tend: Callable[[Worker, _Sink], None] = lambda _worker, _sink: None,
    ) -> None:
        self.name, self._connect, self._tend = name, connect, tend
        self.state = "not configured" if connect is None else "not connected yet"
        self.sink: _Sink | None = None
        self._reached: Mark | None = None
        self._next_try: datetime | None = None

    @property
    def configured(self) -> bool:
        return self._connect is not None

    @property
    def away(self) -> bool:
        return self.state.startswith("away: ")

    @property
    def reached(self) -> int:
        """The last decision known to be there; 0 for none."""
        return self._reached[0] if self._reached else 0

    def follow(self, worker: Worker) -> None:
        """Hands over what is new, a batch at most."""
        now = worker.clock.now()
        if self._connect is None or (self._next_try is not None and now < self._next_try):
            return
        try:
            self._hand_over(worker, self._connect)
        except ConnectionError as error:
            self._leave(worker, error)

    def ask(self, worker: Worker, question: Callable[[_Sink], _Answer]) -> _Answer | None:
        """What the sink answers; None if it is away, from now on or already."""
        if self.sink is None:
            return None
        try:
            return question(self.sink)
        except ConnectionError as error:
            self._leave(worker, error)
            return None

    def _leave(self, worker: Worker, error: ConnectionError) -> None:
        state = f"away: {error}"
        if state != self.state:
            worker.log.warning("%s: %s", self.name, error)
        self._next_try, self.state = worker.clock.now() + RETRY, state
        self.close()

    def close(self) -> None:
        """Ends the connection, if there is one."""
        sink, self.sink = self.sink, None
        if sink is not None:
            sink.close()

    def _hand_over(self, worker: Worker, connect: Callable[[Worker], _Sink]) -> None:
        if self.sink is None:
            self.sink = connect(worker)
            self._reached = self._known(worker, self.sink.last())
        fresh = decisions_after(worker, self.reached)
        if fresh:
            self.sink.put(fresh, self._reached)
            self._reached = fresh[-1].id, fresh[-1].moment
        self._tend(worker, self.sink)
        if self.away:
            worker.log.info("%s: connected again", self.name)
        self.state, self._next_try = "connected", None

    @staticmethod
    def _known(worker: Worker, last: Mark | None) -> Mark | None:
        """Records of another audit database are left alone: their numbers would hide ours."""
        if last is not None:
            made = decision(worker, last[0])
            if made is None or made.moment != last[1]:
                raise ConnectionError("it holds decisions of another audit database")
        return last


def decision(worker: Worker, number: int) -> Made | None:
    """The decision on record with that number."""
    found = decisions_after(worker, number - 1, 1)
    return found[0] if found and found[0].id == number else None


def decisions_after(worker: Worker, number: int, count: int = BATCH) -> list[Made]:
    """The next decisions on record, oldest first."""
    query = (
        "SELECT id, at, mode, instance, symbol, action, outcome, reason, client_order_id FROM decisions"
        " WHERE id > ? ORDER BY id LIMIT ?"
    )
    with worker.audit.own_tables() as connection:
        return [Made(*row) for row in connection.execute(query, (number, count))]


class ServerRecords(Habits):
    """The habits of seed 003: feed the store and the queue after each loop, then tell who listens."""

    def __init__(self, redis_url: str, database_url: str) -> None:
        def connect_queue(worker: Worker) -> BullQueue:
            return BullQueue(redis_url, worker.settings.mode, worker.settings.instance)

        def connect_store(worker: Worker) -> DecisionStore:
            return DecisionStore(database_url, worker.settings.mode, worker.settings.instance)

        self.database = Feed("database", connect_store if database_url else None)
        self.queue = Feed("queue", connect_queue if redis_url else None, self._work)
        self.jobs: dict[str, int] = {}
        self.listeners: list[Callable[[], None]] = []

    @property
    def away(self) -> bool:
        """Whether one of the servers that it was told of cannot be used."""
        return self.database.away or self.queue.away

    def end(self, worker: Worker) -> None:
        """After a loop."""
        self.database.follow(worker)
        self.queue.follow(worker)
        for tell in tuple(self.listeners):
            tell()

    def close(self) -> None:
        """Ends the connections."""
        self.database.close()
        self.queue.close()

    def _work(self, worker: Worker, queue: BullQueue) -> None:
        """The worker of the queue: a batch of jobs at most."""
        for _ in range(BATCH):
            if self.database.configured and self.database.sink is None:
                break
            taken = queue.take(worker.clock.now(), self.database.reached if self.database.configured else NO_LIMIT)
            if taken is None:
                break
            self._do(worker, queue, *taken)
        self.jobs = queue.counts()

    def _do(self, worker: Worker, queue: BullQueue, job: str, data: str) -> None:
        """A job whose proof cannot be had now stays locked, and waits again when its lock runs out."""
        number = _number(data)
        made = decision(worker, number)
        proven: bool | None = made is not None and json.loads(data) == asdict(made)
        if made is not None and proven and self.database.configured:
            proven = self.database.ask(worker, lambda store: store.holds(made))
        if made is not None and proven:
            queue.finish(job, worker.clock.now(), made.outcome)
        elif proven is not None:
            reason = f"decision {number} is not on record as it is here"
            worker.log.error("queue: job %s failed: %s", job, reason)
            queue.finish(job, worker.clock.now(), reason, failed=True)


def _number(data: str) -> int:
    """The decision's number in a job's data, or 0: anybody can put a job into a queue."""
    with contextlib.suppress(ValueError, RecursionError):
        made = json.loads(data)
        number = made.get("id") if isinstance(made, dict) else None
        return number if isinstance(number, int) and 0 < number < NO_LIMIT else 0
    return 0
