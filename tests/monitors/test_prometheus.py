"""What Prometheus shows: which targets are up, and one value of one expression. A missing series is not zero."""

from __future__ import annotations

import math

import pytest

from ops.errors import MonitorError
from ops.monitors.prometheus import scalar, targets
from tests.field import awaited
from tests.monitors.conftest import NOBODY
from tests.peers import answering


def test_a_target_that_answers_is_up_and_one_that_does_not_is_down_with_its_error(watched) -> None:
    awaited(lambda: all(row["health"] != "unknown" for row in targets(watched.prometheus, "bot")))
    rows = {row["instance"]: row for row in targets(watched.prometheus, "bot")}
    assert (rows[watched.instance]["health"], rows[watched.instance]["last_error"]) == ("up", "")
    assert rows[NOBODY]["health"] == "down"
    assert rows[NOBODY]["last_error"]


def test_the_targets_of_another_job_are_not_shown(watched) -> None:
    assert targets(watched.prometheus, "another") == []


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("bot_loop_age_seconds", 0.5),
        ('bot_orders_total{result="rejected"}', 2.0),
        ("sum(bot_orders_total)", 7.0),
    ],
)
def test_an_expression_with_one_value_is_that_value(watched, expression, value) -> None:
    assert scalar(watched.prometheus, expression) == value


def test_the_age_of_the_newest_sample_grows_when_nothing_is_scraped(watched) -> None:
    age = "time() - max(timestamp(bot_up))"
    watched.fault("scrape_stopped")
    first = scalar(watched.prometheus, age)
    assert first is not None
    awaited(lambda: (scalar(watched.prometheus, age) or 0) > first + 0.2)


@pytest.mark.parametrize(
    "expression", ["no_such_metric", "sum(no_such_metric)", "time() - max(timestamp(no_such_metric))"]
)
def test_a_series_that_is_absent_has_no_value_at_all(watched, expression) -> None:
    assert scalar(watched.prometheus, expression) is None


def test_several_series_have_no_one_value(watched) -> None:
    assert scalar(watched.prometheus, "bot_orders_total") is None


def test_a_query_that_is_refused_is_an_error(watched) -> None:
    with pytest.raises(MonitorError, match="HTTP 400"):
        scalar(watched.prometheus, "rate(bot_up[5m]")


def test_a_server_that_is_not_there_is_an_error() -> None:
    for call in (lambda: targets("http://127.0.0.1:9", "bot"), lambda: scalar("http://127.0.0.1:9", "up")):
        with pytest.raises(MonitorError, match="did not answer"):
            call()


BAD = [
    b"",
    b"[]",
    b"null",
    b"<html>",
    b'{"status": "error"}',
    b'{"status": "success"}',
    b'{"status": "success", "data": 7}',
]


@pytest.mark.parametrize("body", [*BAD, b'{"status": "success", "data": {"activeTargets": [{}]}}'])
def test_targets_in_another_shape_are_an_error_and_not_an_empty_list(body) -> None:
    with answering({"GET /api/v1/targets": (200, body)}) as url, pytest.raises(MonitorError):
        targets(url, "bot")


@pytest.mark.parametrize("body", [*BAD, b'{"status": "success", "data": {"resultType": "vector", "result": [{}]}}'])
def test_a_value_in_another_shape_is_an_error(body) -> None:
    with answering({"GET /api/v1/query": (200, body)}) as url, pytest.raises(MonitorError):
        scalar(url, "up")


def test_a_value_that_is_no_number_is_not_below_any_bound() -> None:
    body = b'{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "NaN"]}]}}'
    with answering({"GET /api/v1/query": (200, body)}) as url:
        value = scalar(url, "up")
    assert value is not None
    assert math.isnan(value)
    assert not value <= 60


def test_a_scalar_is_read_as_well() -> None:
    body = b'{"status": "success", "data": {"resultType": "scalar", "result": [1, "3.5"]}}'
    with answering({"GET /api/v1/query": (200, body)}) as url:
        assert scalar(url, "3.5") == 3.5
