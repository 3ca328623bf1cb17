"""The job queue in Redis, laid out as BullMQ 5 lays it out, so that its own tools can read it.

Keys under `bull:decisions:`: `id` (the counter), `meta` (a hash), one hash per job named by its number, `completed` (a
sorted set by the time of completion), `events` (a stream). A decision has been made when it gets here, so its job is
added and completed in one transaction; `last:<mode>:<instance>` is ours and says how far this bot has come.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records import Made

PREFIX = "bull:decisions:"
KEPT = 10_000
_TIMEOUT_SECONDS = 0.5


class BullQueue:
    """A sink for decisions. Raises ConnectionError, from the start on, if Redis cannot be used."""

    def __init__(self, url: str) -> None:
        try:
            self._library: Any = import_module("redis")
        except ImportError:
            raise ConnectionError("the redis library is not installed") from None
        words = {"socket_timeout": _TIMEOUT_SECONDS, "socket_connect_timeout": _TIMEOUT_SECONDS}
        try:
            self._redis = self._library.Redis.from_url(url, decode_responses=True, **words)
        except ValueError:
            raise ConnectionError("REDIS_URL is not an address of Redis") from None

    def last_id(self, mode: str, instance: str) -> int:
        """The last decision of this bot in this mode that is there; 0 for none."""
        try:
            return int(self._redis.get(f"{PREFIX}last:{mode}:{instance}") or 0)
        except self._library.RedisError as error:
            raise ConnectionError(f"Redis: {type(error).__name__}") from None

    def put(self, decisions: list[Made]) -> None:
        """One completed job per decision, in one transaction."""
        try:
            last = int(self._redis.incrby(f"{PREFIX}id", len(decisions)))
            with self._redis.pipeline(transaction=True) as batch:
                batch.hset(f"{PREFIX}meta", mapping={"opts.maxLenEvents": str(KEPT), "version": "bullmq:5"})
                for number, made in enumerate(decisions, last - len(decisions) + 1):
                    _add(batch, number, made)
                batch.set(f"{PREFIX}last:{decisions[-1].mode}:{decisions[-1].instance}", decisions[-1].id)
                batch.execute()
        except self._library.RedisError as error:
            raise ConnectionError(f"Redis: {type(error).__name__}") from None


def _add(batch: Any, number: int, made: Made) -> None:
    at = str(int(datetime.fromisoformat(made.at).timestamp() * 1000))
    job = {
        "name": made.action,
        "data": json.dumps(asdict(made)),
        "opts": json.dumps({"attempts": 1}),
        "timestamp": at,
        "delay": "0",
        "priority": "0",
        "processedOn": at,
        "finishedOn": at,
        "atm": "1",
        "ats": "1",
        "returnvalue": json.dumps(made.outcome),
    }
    batch.hset(f"{PREFIX}{number}", mapping=job)
    batch.zadd(f"{PREFIX}completed", {str(number): int(at)})
    for event in ({"event": "added", "name": made.action}, {"event": "completed", "returnvalue": job["returnvalue"]}):
        batch.xadd(f"{PREFIX}events", {**event, "jobId": str(number)}, maxlen=KEPT, approximate=True)
