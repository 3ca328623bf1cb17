"""Mode and switch: all readings of all hosts agree, or it is not so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ops.checks.control import fleet_mode, fleet_switch
from ops.checks.registry import ask
from ops.checks.sight import Sight
from tests.checks.sights import outcome, spoilt

MODES: Mapping[str, tuple[tuple[str, ...], Any, str]] = {
    "the file says live": (("env", "variables", "TRADING_MODE"), "live", "host-2: declared unknown, loaded paper"),
    "the process has live": (("loaded", "variables", "TRADING_MODE"), "live", "host-2: declared paper, loaded unknown"),
    "the bot says live": (("api", "mode", "mode"), "live", "host-2: declared paper, loaded paper, observed live"),
    "the bot says a new word": (("api", "mode", "mode"), "simulation", "observed unknown"),
    "the bot says PAPER": (("api", "mode", "mode"), "PAPER", "observed unknown"),
    "true with a capital letter": (("env", "variables", "ENABLE_LIVE_TRADING"), "False", "declared unknown"),
    "a space behind": (("env", "variables", "TRADING_MODE"), "paper ", "declared unknown"),
    "a file with a flaw": (("env", "problems"), [{"line": 3, "text": "is quoted"}], "declared unknown"),
    "the other account": (("api", "mode", "account"), "912345678", "host-2 uses account 912345678"),
    "no account": (("api", "mode", "account"), "", "host-2 uses account unknown"),
}


@pytest.mark.parametrize(("path", "value", "says"), MODES.values(), ids=MODES)
def test_one_reading_of_one_host_that_differs_is_named(good: Sight, path, value, says) -> None:
    sight = spoilt(good, "host-2", path, value)
    finding = ask("mode_consistency", sight, {})
    assert (outcome(finding), says in finding.seen) == ("fail", True), finding.seen
    assert "invoke rollback" in finding.remedy


def test_three_interlocks_of_which_one_is_left_on_live_are_not_paper(good: Sight) -> None:
    """Seed 000 rolls back TRADING_MODE alone; that is not enough."""
    mixed = spoilt(good, "host-1", ("env", "variables", "CONFIRM_LIVE_TRADING"), "true")
    assert outcome(ask("mode_consistency", mixed, {"expect": "paper"})) == "fail"
    assert str(fleet_mode(mixed)) == "unknown"


def test_paper_is_not_live_and_live_is_not_paper(good: Sight, live: Sight) -> None:
    assert outcome(ask("mode_consistency", good, {"expect": "live"})) == "fail"
    assert outcome(ask("mode_consistency", live, {"expect": "paper"})) == "fail"
    assert outcome(ask("mode_consistency", live, {"expect": "live"})) == "pass"
    assert (str(fleet_mode(good)), str(fleet_mode(live))) == ("paper", "live")


SWITCHES: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "the bot says it may trade": ({}, "armed"),
    "the bot says it is halted": ({"api": {"switch": {"status": "ON"}}}, "tripped"),
    "another word": ({"api": {"switch": {"status": "ACTIVE"}}}, "unknown"),
    "no answer": ({"api": {"switch": {"error": "ConnectionRefusedError"}}}, "unknown"),
    "armed behind a gate": ({"gate": {"by": "kill-1"}}, "unknown"),
    "halted behind a gate": ({"gate": {"by": "kill-1"}, "api": {"switch": {"status": "ON"}}}, "tripped"),
    "dead behind a gate": ({"gate": {"by": "kill-1"}, "api": {}, "process": {"state": "STOPPED"}}, "tripped"),
    "dead without a gate": ({"api": {}, "process": {"state": "STOPPED"}}, "unknown"),
    "silent and running behind a gate": ({"gate": {"by": "kill-1"}, "api": {}}, "unknown"),
}


@pytest.mark.parametrize(("changes", "state"), SWITCHES.values(), ids=SWITCHES)
def test_the_switch_is_what_the_bot_says_unless_the_gate_speaks_against_it(good: Sight, changes, state) -> None:
    sight = good
    for host in ("host-1", "host-2"):
        for name, value in changes.items():
            sight = spoilt(sight, host, (name,), value)
    assert str(fleet_switch(sight)) == state
    for wanted in ("armed", "tripped"):
        expected = "unknown" if state == "unknown" else "pass" if state == wanted else "fail"
        assert outcome(ask("killswitch.state", sight, {"expect": wanted})) == expected


def test_one_halted_host_of_two_is_neither_armed_nor_tripped(good: Sight) -> None:
    sight = spoilt(good, "host-1", ("api", "switch", "status"), "ON")
    assert str(fleet_switch(sight)) == "unknown"
    assert {outcome(ask("killswitch.state", sight, {"expect": w})) for w in ("armed", "tripped")} == {"fail"}


def test_the_size_in_the_process_is_the_stages(good: Sight, live: Sight) -> None:
    assert outcome(ask("config_value", good, {})) == "pass"
    assert outcome(ask("config_value", live, {})) == "pass"
    for size in ("0.75", "1.00"):
        bigger = spoilt(live, "host-1", ("loaded", "variables", "SIZE_MULTIPLIER"), size)
        assert outcome(ask("config_value", bigger, {})) == "fail", "more than half the size in the first week"


@pytest.mark.parametrize("value", ["400", "5000", None], ids=["tighter", "looser", "absent"])
def test_a_limit_that_the_process_did_not_load_keeps_the_gate_shut(good: Sight, value: str | None) -> None:
    place = ("loaded", "variables", "MAX_DAILY_LOSS_USD")
    assert outcome(ask("limits", spoilt(good, "host-1", place, value), {})) == "fail"
