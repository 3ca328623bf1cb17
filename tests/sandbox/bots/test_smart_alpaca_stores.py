"""Seed 003 with a real Redis and a real PostgreSQL: every decision once, through crashes of either and of the bot."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ops.sandbox.bots.systems.smart_alpaca.queue import BullQueue
from ops.sandbox.bots.systems.smart_alpaca.records import Made, ServerRecords, decisions_after
from ops.sandbox.bots.systems.smart_alpaca.store import DecisionStore
from tests.field import awaited

from .conftest import START, Rig, Start
from .servers import PASSWORD, Server, postgres_server, redis_server

NAMES = {"queue": "REDIS_URL", "database": "DATABASE_URL"}
RETRY_LOOPS = 8  # of 5 s each: longer than a server that was away is left alone
SLOWEST_LOOP_SECONDS = 4.0


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    with redis_server() as queue, postgres_server() as database:
        yield {"queue": queue, "database": database}


@pytest.fixture
def bot(start: Start, servers: dict[str, Server]) -> Iterator[Callable[[], Rig]]:
    """Starts, or starts again, the same bot; both stores are empty before its first start."""
    ask_redis(servers).flushall()
    ask_postgres(servers, "DROP TABLE IF EXISTS ai_decisions")
    yield lambda: start("smart-alpaca", **{NAMES[name]: server.url for name, server in servers.items()})


def ask_redis(servers: dict[str, Server]) -> Any:
    import redis

    return redis.Redis.from_url(servers["queue"].url, decode_responses=True)


def ask_postgres(servers: dict[str, Server], query: str) -> list[tuple[object, ...]]:
    import psycopg

    with psycopg.connect(servers["database"].url, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def records(rig: Rig) -> ServerRecords:
    assert isinstance(rig.worker.habits, ServerRecords)
    return rig.worker.habits


def audited(rig: Rig) -> list[Made]:
    return decisions_after(rig.worker, 0, 10_000)


def assert_each_arrived_once(rig: Rig, servers: dict[str, Server]) -> None:
    """Every column in PostgreSQL as in SQLite; one completed job for each decision and none in any other state."""
    wanted = audited(rig)
    assert len(wanted) > 3
    rows = ask_postgres(
        servers,
        "SELECT decision_id, at, mode, instance, symbol, action, outcome, reason, client_order_id"
        " FROM ai_decisions ORDER BY decision_id",
    )
    assert rows == [(made.id, made.moment, *tuple(asdict(made).values())[2:]) for made in wanted]
    redis, prefix = ask_redis(servers), "bull:decisions-paper-a1:"
    done = redis.zrange(f"{prefix}completed", 0, -1)
    assert sorted(json.loads(redis.hget(prefix + job, "data"))["id"] for job in done) == [made.id for made in wanted]
    counts = {"waiting": 0, "active": 0, "paused": 0, "completed": len(wanted), "failed": 0}
    assert records(rig).jobs == counts == rig.http().get("/api/system/metrics").json()["jobs"]


def test_a_job_lies_in_redis_as_bullmq_lays_it_out(bot: Callable[[], Rig], servers: dict[str, Server]) -> None:
    rig = bot()
    rig.run(4)
    redis, p = ask_redis(servers), "bull:decisions-paper-a1:"
    assert_each_arrived_once(rig, servers)
    first, count = audited(rig)[0], len(audited(rig))
    at = str(int(first.moment.timestamp() * 1000))
    assert redis.hgetall(f"{p}1") == {
        "name": first.action,
        "data": json.dumps(asdict(first)),
        "opts": '{"attempts":1}',
        "timestamp": at,
        "delay": "0",
        "priority": "0",
        "processedOn": at,
        "finishedOn": at,
        "ats": "1",
        "atm": "1",
        "returnvalue": json.dumps(first.outcome),
    }
    kinds = {
        "id": "string",
        "meta": "hash",
        "completed": "zset",
        "events": "stream",
        "marker": "zset",
        "last": "string",
    }
    found = {key.removeprefix(p): redis.type(key) for key in redis.keys("bull:*")}
    assert found == {**kinds, **{str(job): "hash" for job in range(1, count + 1)}}
    assert redis.get(f"{p}id") == str(count)
    events = [event for _, event in redis.xrange(f"{p}events") if event.get("jobId", "1") == "1"]
    assert [event["event"] for event in events][:4] == ["added", "waiting", "active", "completed"]
    assert rig.http().get("/api/system/health").json()["status"] == "healthy"


def test_jobs_wait_until_the_database_has_their_decisions(bot: Callable[[], Rig], servers: dict[str, Server]) -> None:
    rig = bot()
    rig.run(2)
    ask_postgres(servers, "ALTER TABLE ai_decisions RENAME TO elsewhere")
    rig.run(3)
    assert records(rig).database.state == "away: PostgreSQL: UndefinedTable"
    backlog = len(audited(rig)) - records(rig).database.reached
    assert backlog > 0
    assert records(rig).jobs["waiting"] == backlog
    ask_postgres(servers, "ALTER TABLE elsewhere RENAME TO ai_decisions")
    rig.run(RETRY_LOOPS)
    assert_each_arrived_once(rig, servers)


OUTAGES = {
    "killed": (Server.kill, Server.start),
    "frozen": (Server.freeze, Server.thaw),
}


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_dies_in_the_middle_stops_no_trading_and_gets_what_it_missed(
    bot: Callable[[], Rig], servers: dict[str, Server], name: str, outage: str
) -> None:
    rig, (down, up) = bot(), OUTAGES[outage]
    rig.run(2)
    sent, began = len(rig.submissions), time.monotonic()
    down(servers[name])
    try:
        rig.run(2)
        took = time.monotonic() - began
        health = rig.http().get("/api/system/health")
    finally:
        up(servers[name])
    assert took < SLOWEST_LOOP_SECONDS
    assert len(rig.submissions) > sent
    assert health.json()["status"] == "degraded"
    assert health.json()[name].startswith("away: ")
    rig.run(RETRY_LOOPS)
    assert_each_arrived_once(rig, servers)
    assert rig.worker.pulse.loop_errors == 0
    assert rig.log_text().count(f"{name}: connected again") == 1
    assert PASSWORD not in rig.log_text() + health.text + repr(rig.settings) + repr(vars(records(rig)))


def test_a_queue_that_was_emptied_behind_the_bots_back_is_filled_again(
    bot: Callable[[], Rig], servers: dict[str, Server]
) -> None:
    rig = bot()
    rig.run(2)
    ask_redis(servers).flushall()
    rig.run(RETRY_LOOPS)
    assert_each_arrived_once(rig, servers)


def test_a_bot_that_is_started_again_goes_on_where_it_was(bot: Callable[[], Rig], servers: dict[str, Server]) -> None:
    for _ in range(3):
        rig = bot()
        rig.run(3)
    assert_each_arrived_once(rig, servers)


def test_records_of_another_audit_database_are_not_mixed_with_ours(
    bot: Callable[[], Rig], servers: dict[str, Server]
) -> None:
    for name, server in servers.items():
        sink = (BullQueue if name == "queue" else DecisionStore)(server.url, "paper", "a1")
        sink.put(decisions(1), None)
        sink.close()
    rig = bot()
    rig.run(3)
    said = "away: it holds decisions of another audit database"
    assert (records(rig).queue.state, records(rig).database.state) == (said, said)
    assert ask_postgres(servers, "SELECT count(*) FROM ai_decisions") == [(1,)]


def test_a_job_that_is_no_decision_of_ours_fails_and_hurts_nobody(
    bot: Callable[[], Rig], servers: dict[str, Server]
) -> None:
    rig = bot()
    rig.run(2)
    redis, p = ask_redis(servers), "bull:decisions-paper-a1:"
    forged = {**asdict(audited(rig)[0]), "reason": "forged"}
    planted = ("", "[]", "{", "[" * 5000, '{"id": 1e99}', '{"id": "x"}', '{"id": -1}', json.dumps(forged))
    for number, data in enumerate(planted, 1000):
        redis.hset(f"{p}{number}", mapping={"name": "buy", "data": data, "timestamp": "1"})
        redis.lpush(f"{p}wait", number)
    rig.run(3)
    assert redis.zrange(f"{p}failed", 0, -1) == [str(number) for number, _ in enumerate(planted, 1000)]
    assert "not on record" in redis.hget(f"{p}1000", "failedReason")
    assert (records(rig).queue.state, records(rig).database.state) == ("connected", "connected")
    assert rig.worker.pulse.loop_errors == 0


def decisions(count: int) -> list[Made]:
    """Of another life of the same bot."""
    moments = [START - timedelta(days=1, seconds=-number) for number in range(count)]
    rows = enumerate((moment.isoformat() for moment in moments), 1)
    return [Made(number, at, "paper", "a1", "AAPL", "buy", "submit", "", f"a1-p-{number}") for number, at in rows]


@pytest.fixture
def queues(servers: dict[str, Server]) -> Iterator[Callable[[], BullQueue]]:
    """Workers of one queue, whose locks last long enough to finish a job and no longer."""
    ask_redis(servers).flushall()
    opened: list[BullQueue] = []

    def another(lock_ms: int = 30_000) -> BullQueue:
        opened.append(BullQueue(servers["queue"].url, "paper", "a1", lock_ms))
        return opened[-1]

    yield another
    for queue in opened:
        queue.close()


def test_many_workers_take_each_job_exactly_once(queues: Callable[..., BullQueue]) -> None:
    made, taken = decisions(120), list[str]()
    queues().put(made, None)

    def work(queue: BullQueue) -> None:
        while job := queue.take(START, 100):
            taken.append(job[0])
            assert queue.finish(job[0], START, "done")

    crowd = [threading.Thread(target=work, args=(queues(),)) for _ in range(4)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(20)
    assert sorted(taken, key=int) == [str(number) for number in range(1, 101)]
    assert queues().counts() == {"waiting": 20, "active": 0, "paused": 0, "completed": 100, "failed": 0}


def test_a_job_outlives_the_worker_and_the_server_that_had_it(
    queues: Callable[..., BullQueue], servers: dict[str, Server]
) -> None:
    dead = queues(lock_ms=300)
    dead.put(decisions(2), None)
    assert dead.take(START, 9) is not None
    servers["queue"].kill()
    servers["queue"].start()
    heir = queues()
    assert heir.counts() == {"waiting": 1, "active": 1, "paused": 0, "completed": 0, "failed": 0}
    redis = ask_redis(servers)
    awaited(lambda: not redis.exists("bull:decisions-paper-a1:1:lock"), 5)
    assert [heir.take(START, 9)[0], heir.take(START, 9)[0]] == ["1", "2"]
    assert queues().finish("1", START, "late") is False
    assert [heir.finish(job, START, "done") for job in "12"] == [True, True]
    assert redis.hget("bull:decisions-paper-a1:1", "stc") == "1"


def test_of_two_who_add_the_same_decisions_one_is_refused(queues: Callable[..., BullQueue]) -> None:
    made, one, other = decisions(3), queues(), queues()
    one.put(made, None)
    with pytest.raises(ConnectionError, match="not as it was left"):
        other.put(made, None)
    assert one.last() == (3, made[2].moment)
    assert one.counts()["waiting"] == 3


PEER = """
const {Queue, Worker} = require('bullmq');
const connection = {host: '127.0.0.1', port: +process.argv[2], password: process.argv[3], maxRetriesPerRequest: null};
(async () => {
  const queue = new Queue('decisions-paper-a1', {connection});
  const job = await queue.getJob('1');
  const counts = await queue.getJobCounts('waiting', 'active', 'completed', 'failed');
  const seen = {counts, state: await job.getState(),
    name: job.name, data: job.data, value: job.returnvalue, attempts: job.attemptsMade, failed: []};
  for (const one of await queue.getFailed()) seen.failed.push(one.failedReason);
  const done = [];
  const take = async one => { done.push(one.data.id); return 'theirs'; };
  const worker = new Worker('decisions-paper-a1', take, {connection});
  while ((await queue.getJobCounts('waiting', 'active')).waiting) await new Promise(go => setTimeout(go, 20));
  await worker.close();
  seen.done = done;
  await queue.add('buy', {id: 7});
  await queue.close();
  console.log(JSON.stringify(seen));
})();
"""


@pytest.mark.campaign
def test_bullmq_itself_reads_our_jobs_and_we_take_its(
    queues: Callable[..., BullQueue], servers: dict[str, Server], tmp_path: Path
) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed here")
    subprocess.run(
        [npm, "install", "--silent", "--no-audit", "bullmq@5"], cwd=tmp_path, check=True, capture_output=True
    )
    made, ours = decisions(4), queues()
    ours.put(made, None)
    for failed in (False, True):
        job = ours.take(START, 9)
        assert job is not None
        ours.finish(job[0], START, "submit", failed)
    (tmp_path / "peer.js").write_text(PEER)
    words = ["node", "peer.js", str(urlsplit(servers["queue"].url).port), PASSWORD]
    seen = json.loads(subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=30).stdout)
    assert seen == {
        "counts": {"waiting": 2, "active": 0, "completed": 1, "failed": 1, "paused": 0},
        "state": "completed",
        "name": "buy",
        "data": asdict(made[0]),
        "value": "submit",
        "attempts": 1,
        "failed": ["submit"],
        "done": [3, 4],
    }
    assert ours.take(datetime.now(UTC), 9) == ("5", '{"id":7}')
