"""A world of several venues: each has its own accounts, keys and faults, and a lever must say which one it means."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import requests

from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import embedded_world, free_ports_config, venue_of
from tests.sandbox.world.conftest import HandClock, Outside


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    venues = {"first": venue_of("alpaca"), "second": venue_of("alpaca", symbols={"GLD": "250.00", "SPY": "580.00"})}
    config, clock = free_ports_config(tmp_path_factory.mktemp("world"), venues=venues), HandClock()
    with embedded_world(config, random.Random(1), WorldClock(clock)) as world:
        yield Outside(world, clock)


def clock_status(outside: Outside, listener: str, pair: dict[str, str]) -> int:
    headers = {"APCA-API-KEY-ID": pair["key"], "APCA-API-SECRET-KEY": pair["secret"]}
    return requests.get(outside.url(listener, "/v2/clock"), headers=headers, timeout=5).status_code


@pytest.mark.parametrize("place", [{"environment": "second/live"}, {"environment": "live", "venue": "second"}])
def test_a_key_belongs_to_one_account_of_one_venue(outside: Outside, place: dict[str, object]) -> None:
    pair = outside.admin("keys", place).json()
    known = {name: clock_status(outside, name, pair) for name in outside.world.ports if "_" in name}
    assert known == {"first_paper": 401, "first_live": 401, "second_paper": 401, "second_live": 200}


def test_a_fault_strikes_at_its_own_venue_only(outside: Outside) -> None:
    pairs = {name: outside.admin("keys", {"environment": f"{name}/live"}).json() for name in ("first", "second")}
    switch = {"environment": "first/live", "fault": "maintenance", "on": True}
    assert outside.admin("faults", switch).status_code == 200
    assert {name: clock_status(outside, f"{name}_live", pairs[name]) for name in pairs} == {"first": 503, "second": 200}
    on = {(row["scope"], row["fault"]): row["on"] for row in outside.admin("faults").json()["faults"] if row["on"]}
    assert on == {("first", "maintenance"): ["live"]}
    assert outside.admin("faults", {**switch, "on": False}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("keys", {"environment": "live"}, "several venues can be meant"),
        ("keys", {"environment": "third/live"}, "unknown venue 'third'; known: first, second"),
        ("keys", {"environment": "first/live", "purpose": "fun"}, "purpose must be one of bot, observer, kill"),
        ("faults", {"environment": "live", "fault": "maintenance", "on": True}, "several venues can be meant"),
        ("price", {"symbol": "SPY", "factor": "1.1"}, "several venues can be meant"),
    ],
)
def test_a_lever_that_could_mean_both_is_refused(
    outside: Outside, path: str, body: dict[str, object], words: str
) -> None:
    answer = outside.admin(path, body)
    assert (answer.status_code, words in answer.json()["error"]) == (422, True), answer.text


def test_what_only_one_venue_knows_needs_no_name(outside: Outside) -> None:
    assert outside.admin("price", {"symbol": "GLD", "factor": "1.1"}).status_code == 200
    assert outside.admin("price", {"symbol": "SPY", "factor": "1", "venue": "second"}).status_code == 200
    assert outside.admin("faults", {"fault": "slack_down", "on": True}).status_code == 200
    assert outside.admin("faults", {"fault": "slack_down", "on": False}).status_code == 200
