from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime

import pytest

from ops.sandbox.bots.systems.smart_alpaca.records import Feed, Made, ServerRecords

from .conftest import LIVE, Rig, Start


@pytest.fixture
def rig(start: Start) -> Iterator[Rig]:
    yield start("smart-alpaca")


def test_health_prints_paper_or_live_and_never_the_raw_value_alone(start: Start, rig: Rig) -> None:
    rig.run(4)
    health = rig.http().get("/api/system/health").json()
    shown = {name: health[name] for name in ("status", "mode", "account", "trading", "reason", "agree", "queue")}
    assert shown == {
        "status": "healthy",
        "mode": "PAPER",
        "account": "PA3TEST",
        "trading": "RUNNING",
        "reason": "",
        "agree": True,
        "queue": "not configured",
    }
    assert health["variables"] == {"ALPACA_PAPER": "true", "NODE_ENV": "production"}
    live = start("smart-alpaca", **LIVE["smart-alpaca"])
    assert live.http().get("/api/system/health").json()["mode"] == "LIVE"


def test_metrics_count_what_was_done(rig: Rig) -> None:
    rig.run(8)
    http = rig.http()
    http.get("/api/system/health")
    metrics = http.get("/api/system/metrics").json()
    assert metrics["orders"]["accepted"] == len(rig.submissions) > 0
    assert metrics["api"]["requests"] == 1
    assert metrics["api"]["error_pct"] == 0


class MemorySink:
    """A server that may be away."""

    def __init__(self) -> None:
        self.made: list[Made] = []
        self.away = threading.Event()

    def last(self) -> tuple[int, datetime] | None:
        return (self.made[-1].id, self.made[-1].moment) if self.made else None

    def put(self, decisions: list[Made], after: tuple[int, datetime] | None) -> None:
        if self.away.is_set():
            raise ConnectionError("Redis: TimeoutError")
        assert after == self.last()
        self.made += decisions

    def close(self) -> None:
        pass


def test_a_server_that_was_away_gets_every_decision_once(rig: Rig) -> None:
    sink, habits = MemorySink(), rig.worker.habits
    assert isinstance(habits, ServerRecords)
    habits.database = Feed("database", lambda _worker: sink)
    rig.run(3)
    sink.away.set()
    sent = len(rig.submissions)
    rig.run(3)
    assert habits.database.state == "away: Redis: TimeoutError"
    assert rig.http().get("/api/system/health").json()["status"] == "degraded"
    assert len(rig.submissions) > sent, "the audit database has it all"
    sink.away.clear()
    rig.run(8)
    habits.database = Feed("database", lambda _worker: sink)  # as after a restart
    rig.run(2)
    assert [(made.id,) for made in sink.made] == rig.rows("SELECT id FROM decisions ORDER BY id")
    assert rig.log_text().count("database: Redis: TimeoutError") == 1


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("queue", {"REDIS_URL": "redis://:canary-pw@127.0.0.1:9/0"}),
        ("database", {"DATABASE_URL": "postgresql://bot:canary-pw@127.0.0.1:9/bot"}),
    ],
)
def test_without_the_servers_it_trades_all_the_same(start: Start, name: str, changes: dict[str, str]) -> None:
    rig = start("smart-alpaca", **changes)
    rig.run(4)
    health = rig.http().get("/api/system/health").json()
    assert health["status"] == "degraded"
    assert str(health[name]).startswith("away: ")
    assert rig.submissions
    assert "canary-pw" not in rig.log_text() + str(health)
