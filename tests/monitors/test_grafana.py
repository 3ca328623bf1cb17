"""What Grafana shows: the dashboard's panels, and how old the data behind each is. No data is not fresh data."""

from __future__ import annotations

import json
import time

import pytest

from ops.errors import MonitorError
from ops.monitors.grafana import newest_sample_ms, panel_queries
from tests.peers import answering

TOKEN = "grafana-token"


def test_the_panels_of_the_dashboard_have_titles_and_expressions(watched) -> None:
    panels = panel_queries(watched.grafana, TOKEN, "alpaca-bot")
    assert len(panels) == 6
    assert all(title and expression for title, expression in panels.items())


def test_a_dashboard_that_is_missing_is_an_error_and_not_one_without_panels(watched) -> None:
    with pytest.raises(MonitorError, match="HTTP 404"):
        panel_queries(watched.grafana, TOKEN, "another")
    watched.fault("dashboard_missing")
    with pytest.raises(MonitorError, match="HTTP 404"):
        panel_queries(watched.grafana, TOKEN, "alpaca-bot")


def test_a_token_that_is_refused_is_an_error_that_does_not_show_it(watched) -> None:
    for call in (
        lambda: panel_queries(watched.grafana, "hunter2", "alpaca-bot"),
        lambda: newest_sample_ms(watched.grafana, "hunter2", {"a": "bot_up"}),
    ):
        with pytest.raises(MonitorError) as caught:
            call()
        assert "401" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_each_panel_has_the_time_of_its_newest_sample(watched) -> None:
    newest = newest_sample_ms(watched.grafana, TOKEN, {"up": "bot_up", "orders": "sum(bot_orders_total)"})
    now_ms = time.time() * 1000
    assert set(newest) == {"up", "orders"}
    assert all(at is not None and abs(now_ms - at) < 10_000 for at in newest.values())


def test_a_panel_without_data_has_no_time(watched) -> None:
    newest = newest_sample_ms(watched.grafana, TOKEN, {"up": "bot_up", "gone": "no_such_metric"})
    assert newest["up"] is not None
    assert newest["gone"] is None


def test_a_query_that_is_refused_is_an_error(watched) -> None:
    with pytest.raises(MonitorError, match="HTTP 400"):
        newest_sample_ms(watched.grafana, TOKEN, {"bad": "rate(bot_up[5m]"})


def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(MonitorError, match="did not answer"):
        panel_queries("http://127.0.0.1:9", TOKEN, "alpaca-bot")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b'{"dashboard": {}}', b'{"dashboard": {"panels": [{"targets": [{}]}]}}']
)
def test_a_dashboard_in_another_shape_is_an_error(body) -> None:
    with answering({"GET /api/dashboards/uid/alpaca-bot": (200, body)}) as url, pytest.raises(MonitorError):
        panel_queries(url, TOKEN, "alpaca-bot")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b'{"results": {"Q0": {"frames": [{}]}}}', b'{"results": []}']
)
def test_samples_in_another_shape_are_an_error(body) -> None:
    with answering({"POST /api/ds/query": (200, body)}) as url, pytest.raises(MonitorError):
        newest_sample_ms(url, TOKEN, {"up": "bot_up"})


def test_points_without_a_value_are_no_data() -> None:
    """Grafana draws a time axis over a series that has stopped: its points are there and hold null."""
    values = [[1000, 2000, 3000], [1.0, None, None]]
    document = {
        "results": {
            "Q0": {"frames": [{"data": {"values": values}}]},
            "Q1": {"frames": [{"data": {"values": [[3000], [None]]}}]},
        }
    }
    with answering({"POST /api/ds/query": (200, json.dumps(document).encode())}) as url:
        assert newest_sample_ms(url, TOKEN, {"stopped": "a", "never": "b"}) == {"stopped": 1000, "never": None}
