"""One fleet: whoever is not like the others, or not as planned, is named against the majority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ops.checks.fleet import table
from ops.checks.registry import ask
from ops.checks.sight import Sight
from ops.hosts.reply import Reply
from ops.model.canonical import utc_text
from tests.checks.sights import NOW, look, outcome, spoilt

OTHERS = tuple(f"host-{n}" for n in range(1, 9))


@pytest.fixture
def eight(good: Sight) -> Sight:
    """Eight hosts that all show what the first one shows, each on a machine of its own."""
    hosts = {name: good.profile.hosts["host-1"] for name in OTHERS}
    opened = replace(good.doors, profile=good.profile.model_copy(update={"hosts": hosts}))
    replies = {
        name: Reply(name, True, True, look=_on_its_own(look(good.doors, "host-1", "paper"), name)) for name in hosts
    }
    return replace(good, doors=opened, replies=replies)


def _on_its_own(shown: dict[str, Any], name: str) -> dict[str, Any]:
    return {**shown, "machine": {**shown["machine"], "root": f"/srv/{name}"}}


# What one host shows -> how it is named.
ODD: Mapping[str, tuple[tuple[str, ...], Any, str]] = {
    "release": (("release_sha256",), "9" * 64, "host-5: release 999999999999..., 7 others ffffffffffff..."),
    "no release": (("release_sha256",), None, "host-5: release unknown"),
    "unit": (("unit_sha256",), "7" * 64, "host-5: unit 777777777777..., 7 others not shown by supervisord"),
    "mode": (("env", "variables", "TRADING_MODE"), "live", "host-5: declared unknown, loaded paper, observed paper"),
    "size in the file": (
        ("env", "variables", "SIZE_MULTIPLIER"), "0.50", "host-5: SIZE_MULTIPLIER in keys.env 0.50, 7 others 1.00",
    ),
    "limit in the process": (
        ("loaded", "variables", "MAX_POSITION_USD"), "1",
        "host-5: MAX_POSITION_USD in the process 1, 7 others 10000",
    ),
    "another's variable": (
        ("env", "variables", "SYMBOLS"), "TSLA", "host-5: SYMBOLS in keys.env is TSLA, planned AAPL,MSFT",
    ),
    "key": (("env", "fingerprints", "ALPACA_API_KEY"), "0" * 16, "host-5: ALPACA_API_KEY holds key 0000000000000000"),
    "a flawed file": (("env", "problems"), [{"line": 3, "text": "x"}], "host-5: keys.env is not canonical"),
    "a second bot": (("instances", "strays"), [77], "host-5: process 77 of the bot runs beside its service"),
    "no bot": (("instances", "expected"), [], "host-5: bot does not run"),
    "nobody counted": (("instances",), None, "host-5: its processes are unknown"),
    "late": (("at",), utc_text(NOW + timedelta(seconds=2.1)), "host-5: its clock is +2.1 s off"),
    "early": (("at",), utc_text(NOW - timedelta(seconds=60)), "host-5: its clock is -60.0 s off"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "value", "says"), ODD.values(), ids=ODD)
def test_the_odd_one_out_is_named_and_nobody_else(eight: Sight, path: tuple[str, ...], value: Any, says: str) -> None:
    assert outcome(ask("fleet_equality", eight, {})) == "pass"
    finding = ask("fleet_equality", spoilt(eight, "host-5", path, value), {})
    unseen = value is None  # what is not shown is unknown, what is shown otherwise is a fail
    assert (outcome(finding), says in finding.seen) == ("unknown" if unseen else "fail", True), finding.seen
    assert not any(f"{host}:" in finding.seen for host in OTHERS if host != "host-5")


def test_two_that_differ_are_both_named(good: Sight) -> None:
    finding = ask("fleet_equality", spoilt(good, "host-1", ("release_sha256",), "9" * 64), {})
    assert "release differs: host-1 999999999999..., host-2 ffffffffffff..." in finding.seen


def test_live_settings_are_held_against_the_plan_even_where_all_hosts_agree(live: Sight) -> None:
    assert outcome(ask("fleet_equality", live, {})) == "pass"
    for host in live.replies:
        live = spoilt(live, host, ("loaded", "variables", "SIZE_MULTIPLIER"), "1.00")
    finding = ask("fleet_equality", live, {})
    assert (outcome(finding), "SIZE_MULTIPLIER in the process is 1.00, planned 0.50" in finding.seen) == ("fail", True)


def test_what_is_expected_can_be_said(good: Sight, live: Sight) -> None:
    assert outcome(ask("fleet_equality", good, {"expect": "live", "size_pct": 50})) == "fail"
    asked = replace(live, history=good.history)  # right before the commit the ledger still says paper
    assert outcome(ask("fleet_equality", asked, {"expect": "live", "size_pct": 50})) == "pass"
    assert outcome(ask("fleet_equality", asked, {"expect": "live", "size_pct": 75})) == "fail"


@pytest.mark.parametrize("asked", [None, NOW + timedelta(seconds=1)], ids=["nobody noted it", "our clock went back"])
def test_without_the_instant_of_the_question_no_clock_is_proven(good: Sight, asked: Any) -> None:
    finding = ask("fleet_equality", replace(good, asked=asked), {})
    assert (outcome(finding), finding.seen) == ("unknown", "host-1: its clock is unknown; host-2: its clock is unknown")


def test_a_slow_answer_says_no_more_about_a_clock_than_that_it_came_in_between(good: Sight) -> None:
    slow = replace(good, asked=NOW - timedelta(seconds=30))
    assert (
        outcome(ask("fleet_equality", spoilt(slow, "host-1", ("at",), utc_text(NOW - timedelta(seconds=20))), {}))
        == "pass"
    )
    assert (
        outcome(ask("fleet_equality", spoilt(slow, "host-1", ("at",), utc_text(NOW + timedelta(seconds=3))), {}))
        == "fail"
    )


def test_under_a_manager_that_shows_units_a_unit_that_is_not_shown_is_unknown(good: Sight) -> None:
    profile = good.profile
    service = profile.service.model_copy(update={"manager": "systemd"})
    opened = replace(good.doors, profile=profile.model_copy(update={"service": service}))
    finding = ask("fleet_equality", replace(good, doors=opened), {})
    assert (outcome(finding), "host-1: unit unknown; host-2: unit unknown" in finding.seen) == ("unknown", True)


# What one host shows of itself -> what is wrong with it.
ITSELF: Mapping[str, tuple[tuple[str, ...], Any, str, str]] = {
    "one host under two names": (("machine", "root"), "/srv/host-1", "fail", "host-1 and host-2 are one host"),
    "nobody knows which": (("machine", "id"), "junk", "unknown", "host-2: its machine is unknown"),
    "an old Python": (("machine", "python"), "3.8.10", "fail", "host-2: python 3.8.10, at least 3.9 is needed"),
    "an old helper": (("helper", "sha256"), "0" * 64, "fail", "host-2: its helper is 000000000000..., not ours"),
    "no helper": (("helper",), {"sha256": None}, "fail", "host-2: its helper is not there, not ours"),
    "a watcher that never woke": (
        ("watcher",), {"at": None}, "unknown", "host-2: the watcher of its deadline is unknown",
    ),
    "a watcher asleep": (
        ("watcher", "at"), utc_text(NOW - timedelta(seconds=11)), "fail",
        "host-2: the watcher of its deadline last woke 11 s ago",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "value", "end", "says"), ITSELF.values(), ids=ITSELF)
def test_a_host_that_is_not_what_it_should_be_is_named(good: Sight, path, value, end: str, says: str) -> None:
    assert outcome(ask("host_identity", good, {})) == "pass"
    finding = ask("host_identity", spoilt(good, "host-2", path, value), {})
    assert (outcome(finding), finding.seen) == (end, says)
    assert "invoke host.prepare" in finding.remedy


@pytest.mark.parametrize(("offset", "end"), [(0, "pass"), (3600, "fail"), (None, "unknown")])
def test_only_on_machines_of_their_own_the_time_zone_must_be_utc(good: Sight, offset: Any, end: str) -> None:
    shown = spoilt(good, "host-2", ("machine", "utc_offset_s"), offset)
    assert outcome(ask("host_identity", shown, {})) == "pass", "folders on this very machine"
    service = good.profile.service.model_copy(update={"manager": "systemd"})
    opened = replace(good.doors, profile=good.profile.model_copy(update={"service": service}))
    assert outcome(ask("host_identity", replace(shown, doors=opened), {})) == end


def test_the_table_has_a_line_per_host_and_names_the_dark(good: Sight) -> None:
    healed = spoilt(good, "host-1", ("healers",), ["bot.timer"])
    lines = table(replace(healed, replies={**healed.replies, "host-2": Reply.dark("host-2", "no route")}))
    assert lines[0].startswith("host-1: release ffffffffffff..., env file eeeeeeeeeeee..., mode declared paper")
    assert lines[0].endswith(", clock +0.0 s, started by bot.timer too")
    assert lines[1] == "host-2: did not answer: no route"
