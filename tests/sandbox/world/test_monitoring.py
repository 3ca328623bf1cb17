"""Prometheus really scrapes and answers a strict subset; Grafana shows the same samples."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import embedded_world, free_ports_config

GRAFANA = {"Authorization": "Bearer grafana-token"}
METRICS = """# HELP bot_fills_total fills
# TYPE bot_fills_total counter
bot_fills_total 3.0
# TYPE bot_orders_total counter
bot_orders_total{result="accepted"} 5.0
bot_orders_total{result="rejected"} 2.0
# TYPE bot_slippage_bps gauge
bot_slippage_bps NaN
"""


class Bot:
    """A scrape target whose answer the test sets."""

    def __init__(self) -> None:
        self.status = 200
        self.text = METRICS
        bot = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(bot.status)
                self.end_headers()
                self.wfile.write(bot.text.encode())

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def eventually(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"


@pytest.fixture
def bot() -> Iterator[Bot]:
    bot = Bot()
    yield bot
    bot.stop()


@pytest.fixture
def watched(tmp_path: Path, wall, bot: Bot) -> Iterator[Watched]:
    config = free_ports_config(tmp_path / "state", (bot.address,), scrape_seconds=0.02)
    with embedded_world(config, random.Random(1), WorldClock(wall)) as world:
        watched = Watched(world, wall)
        eventually(lambda: watched.health() == "up")
        yield watched


class Watched:
    def __init__(self, world, wall) -> None:
        self.world = world
        self.wall = wall

    def prometheus(self, path: str, **query: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.world.ports['prometheus']}{path}", params=query, timeout=5)

    def ask(self, query: str) -> list[tuple[dict[str, str], str]]:
        answer = self.prometheus("/api/v1/query", query=query).json()
        assert (answer["status"], answer["data"]["resultType"]) == ("success", "vector")
        return [(row["metric"], row["value"][1]) for row in answer["data"]["result"]]

    def health(self) -> str:
        return self.prometheus("/api/v1/targets").json()["data"]["activeTargets"][0]["health"]

    def fault(self, name: str, on: bool = True) -> None:
        url = f"http://127.0.0.1:{self.world.ports['admin']}/admin/faults"
        body, token = {"fault": name, "on": on}, {"X-Sandbox-Token": "admin-token"}
        requests.post(url, json=body, headers=token, timeout=5).raise_for_status()

    def grafana(self, path: str, body: object = None, headers: dict[str, str] | None = None) -> requests.Response:
        url, headers = (
            f"http://127.0.0.1:{self.world.ports['grafana']}{path}",
            GRAFANA if headers is None else headers,
        )
        if body is None:
            return requests.get(url, headers=headers, timeout=5)
        return requests.post(url, json=body, headers=headers, timeout=5)


def test_selectors_and_reducers(watched: Watched, bot: Bot) -> None:
    labels = {"job": "bot", "instance": bot.address}
    accepted, rejected = {"result": "accepted", **labels}, {"result": "rejected", **labels}
    name = {"__name__": "bot_orders_total"}
    assert watched.ask("bot_orders_total") == [({**name, **accepted}, "5"), ({**name, **rejected}, "2")]
    assert watched.ask(' bot_orders_total { result = "rejected" , job="bot" } ') == [({**name, **rejected}, "2")]
    assert watched.ask('up{job="bot"}') == [({"__name__": "up", **labels}, "1")]
    assert watched.ask("max(bot_orders_total)") == [({}, "5")]
    assert watched.ask("min(bot_orders_total)") == [({}, "2")]
    assert watched.ask('sum(bot_orders_total{job="bot"})') == [({}, "7")]
    assert watched.ask("bot_slippage_bps")[0][1] == "NaN"
    assert watched.ask("time() - max(timestamp(bot_fills_total))") == [({}, "0")]


@pytest.mark.parametrize(
    "query",
    [
        "absent_metric",
        'bot_orders_total{result="lost"}',
        "sum(absent_metric)",
        "time() - max(timestamp(absent))",
    ],
)
def test_absent_is_empty_not_zero(watched: Watched, query: str) -> None:
    assert watched.ask(query) == []


@pytest.mark.parametrize(
    "query",
    [
        "",
        "1 + 1",
        "rate(bot_fills_total[5m])",
        'bot_orders_total{result=~"a.*"}',
        "bot_fills_total offset 5m",
        "avg(up)",
        "up > 0",
        "up{",
    ],
)
def test_anything_else_is_refused(watched: Watched, query: str) -> None:
    answer = watched.prometheus("/api/v1/query", query=query)
    body = answer.json()
    assert (answer.status_code, body["status"], body["errorType"]) == (400, "error", "bad_data")
    assert body["error"].startswith("parse error")


def test_post_and_a_time_in_the_past(watched: Watched) -> None:
    url = f"http://127.0.0.1:{watched.world.ports['prometheus']}/api/v1/query"
    assert len(requests.post(url, data={"query": "up"}, timeout=5).json()["data"]["result"]) == 1
    past = requests.post(url, data={"query": "up", "time": "2026-11-20T16:00:00Z"}, timeout=5)
    assert past.json()["data"]["result"] == []
    assert requests.post(url, data={"query": "up", "time": "x"}, timeout=5).status_code == 400


@pytest.mark.parametrize(("status", "text"), [(500, METRICS), (200, "not { a metric"), (200, "bot_fills_total x")])
def test_a_failed_scrape_is_down_and_ends_its_series(watched: Watched, bot: Bot, status: int, text: str) -> None:
    watched.wall.later(1)
    bot.status, bot.text = status, text
    eventually(lambda: watched.health() == "down")
    assert watched.ask("up")[0][1] == "0"
    assert watched.ask("bot_fills_total") == []
    target = watched.prometheus("/api/v1/targets").json()["data"]["activeTargets"][0]
    assert target["lastError"]
    bot.status, bot.text = 200, METRICS
    watched.wall.later(1)
    eventually(lambda: watched.ask("bot_fills_total") != [])


def test_samples_age_and_vanish_when_scraping_stops(watched: Watched) -> None:
    watched.fault("scrape_stopped")
    newest = watched.ask("time() - max(timestamp(up))")
    assert newest == [({}, "0")]
    watched.wall.later(299)
    eventually(lambda: watched.ask("time() - max(timestamp(up))") == [({}, "299")])
    watched.wall.later(2)
    assert watched.ask("up") == []
    assert watched.ask("time() - max(timestamp(up))") == []


def test_grafana_needs_its_token_except_for_health(watched: Watched) -> None:
    assert watched.grafana("/api/health", headers={}).json()["database"] == "ok"
    for path, body in (
        ("/api/search", None),
        ("/api/dashboards/uid/alpaca-bot", None),
        ("/api/ds/query", {}),
    ):
        answer = watched.grafana(path, body, headers={"Authorization": "Bearer wrong"})
        assert (answer.status_code, answer.json()) == (401, {"message": "Invalid API key"})


def test_the_shipped_dashboard_is_served_and_can_be_lost(watched: Watched) -> None:
    board = watched.grafana("/api/dashboards/uid/alpaca-bot").json()["dashboard"]
    assert (board["uid"], len(board["panels"])) == ("alpaca-bot", 6)
    assert [found["uid"] for found in watched.grafana("/api/search?query=bot").json()] == ["alpaca-bot"]
    assert watched.grafana("/api/search?query=weather").json() == []
    missing = watched.grafana("/api/dashboards/uid/other")
    assert (missing.status_code, missing.json()) == (404, {"message": "Dashboard not found"})
    watched.fault("dashboard_missing")
    assert watched.grafana("/api/dashboards/uid/alpaca-bot").status_code == 404
    assert watched.grafana("/api/search").json() == []


def test_every_panel_of_the_dashboard_can_be_queried(watched: Watched) -> None:
    board = watched.grafana("/api/dashboards/uid/alpaca-bot").json()["dashboard"]
    for panel in board["panels"]:
        answer = watched.grafana("/api/ds/query", {"queries": panel["targets"], "from": "now-5m", "to": "now"})
        assert (answer.status_code, answer.json()["results"]["A"]["status"]) == (200, 200)


def test_a_data_query_gives_frames_of_time_and_value(watched: Watched) -> None:
    watched.wall.later(10)
    eventually(lambda: watched.ask("time() - max(timestamp(up))") == [({}, "0")])
    query = {"refId": "B", "expr": "sum(bot_orders_total)", "intervalMs": 5000}
    answer = watched.grafana("/api/ds/query", {"queries": [query], "from": "now-10s", "to": "now"})
    (frame,) = answer.json()["results"]["B"]["frames"]
    times, values = frame["data"]["values"]
    end = int(watched.wall.time.timestamp() * 1000)
    assert (times, values) == ([end - 10_000, end - 5_000, end], [7.0, 7.0, 7.0])
    assert [field["type"] for field in frame["schema"]["fields"]] == ["time", "number"]
    instant = watched.grafana("/api/ds/query", {"queries": [{**query, "instant": True}]}).json()
    assert instant["results"]["B"]["frames"][0]["data"]["values"] == [[end], [7.0]]


@pytest.mark.parametrize("body", [{}, {"queries": [{}]}, {"queries": [{"refId": "A", "expr": "up"}], "from": "x"}])
def test_bad_data_queries_are_400(watched: Watched, body: object) -> None:
    assert watched.grafana("/api/ds/query", body).status_code == 400


def test_a_bad_expression_is_an_error_of_its_own_result(watched: Watched) -> None:
    queries = [{"refId": "A", "expr": "up"}, {"refId": "B", "expr": "rate(up[1m])"}]
    answer = watched.grafana("/api/ds/query", {"queries": queries})
    results = answer.json()["results"]
    assert (answer.status_code, results["A"]["status"], results["B"]["status"]) == (400, 200, 400)
    assert "parse error" in results["B"]["error"]
