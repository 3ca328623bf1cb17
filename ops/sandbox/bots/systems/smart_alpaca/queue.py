"""The job queue in Redis, laid out as BullMQ 5 lays it out, so that its own tools can read it and its workers share it.

One queue for each mode and instance, `decisions-<mode>-<instance>`, and one job for each decision. Keys under
`bull:<queue>:`: `id` (the counter), `meta`, one hash per job named by its number, the lists `wait`, `active` and
`paused`, the sorted sets `completed` and `failed`, `events` (a stream), `marker` (wakes BullMQ's workers),
`<job>:lock` (who takes a job holds it; a job whose lock ran out waits again). `last` is ours: how far the bot has come.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .scripts import ADD, FINISH, TAKE

if TYPE_CHECKING:
    from .records import Made

KEPT = 10_000
LOCK_MS = 30_000
_TIMEOUT_SECONDS = 0.5


class BullQueue:
    """A sink for decisions, and the worker that takes them. Each method raises ConnectionError if Redis cannot be used.

    What the library says is not passed on: it can hold the address with the password in it.
    """

    def __init__(self, url: str, mode: str, instance: str, lock_ms: int = LOCK_MS) -> None:
        self.prefix = f"bull:decisions-{mode}-{instance}:"
        self._token, self._lock_ms = uuid.uuid4().hex, lock_ms
        try:
            self._library: Any = import_module("redis")
        except ImportError:
            raise ConnectionError("the redis library is not installed") from None
        retry = import_module("redis.retry").Retry(import_module("redis.backoff").NoBackoff(), 0)
        words = {"socket_timeout": _TIMEOUT_SECONDS, "socket_connect_timeout": _TIMEOUT_SECONDS, "retry": retry}
        try:
            self._redis = self._library.Redis.from_url(url, decode_responses=True, **words)
        except ValueError:
            raise ConnectionError("REDIS_URL is not an address of Redis") from None

    def last(self) -> tuple[int, datetime] | None:
        """Number and time of the last decision that is there."""
        mark = self._ask(lambda: self._redis.get(f"{self.prefix}last"))
        return _read(mark) if mark else None

    def put(self, decisions: list[Made], after: tuple[int, datetime] | None) -> None:
        """One waiting job per decision, all or none, and none if the queue does not end with `after`."""
        jobs = [text for made in decisions for text in (made.action, json.dumps(asdict(made)), _ms(made.moment))]
        mark, then = _mark(after), _mark((decisions[-1].id, decisions[-1].moment))
        if not self._run(ADD, mark, then, *jobs):
            raise ConnectionError("Redis: the queue is not as it was left")

    def take(self, now: datetime, up_to: int) -> tuple[str, str] | None:
        """(job, its data) of the job that has waited longest, if it is of a decision up to that one; it is locked."""
        taken = self._run(TAKE, self._token, self._lock_ms, _ms(now), up_to)
        return (taken[0], taken[1]) if taken else None

    def finish(self, job: str, now: datetime, value: str, failed: bool = False) -> bool:
        """Completed with that value, or failed for that reason. False: the lock ran out, and the job is another's."""
        to, field = ("failed", "failedReason") if failed else ("completed", "returnvalue")
        said = value if failed else json.dumps(value)
        return bool(self._run(FINISH, job, self._token, _ms(now), to, field, said, KEPT))

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each state, under BullMQ's names."""
        lists, sets = {"waiting": "wait", "active": "active", "paused": "paused"}, ("completed", "failed")

        def ask() -> list[int]:
            with self._redis.pipeline(transaction=True) as batch:
                for name in lists.values():
                    batch.llen(self.prefix + name)
                for name in sets:
                    batch.zcard(self.prefix + name)
                return list(batch.execute())

        return dict(zip((*lists, *sets), self._ask(ask), strict=True))

    def close(self) -> None:
        """Ends the connection."""
        self._redis.close()

    def _run(self, script: str, *words: object) -> Any:
        return self._ask(lambda: self._redis.eval(script, 0, self.prefix, *words))

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except self._library.RedisError as error:
            raise ConnectionError(f"Redis: {type(error).__name__}") from None


def _mark(reached: tuple[int, datetime] | None) -> str:
    return f"{reached[0]} {reached[1].isoformat()}" if reached else ""


def _read(mark: str) -> tuple[int, datetime]:
    number, _, at = mark.partition(" ")
    return int(number), datetime.fromisoformat(at)


def _ms(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))
