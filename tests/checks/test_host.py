"""The env file and the process behind it, and the health of a host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ops.checks.registry import ask
from ops.checks.sight import Sight
from tests.checks.sights import KEYS, outcome, spoilt

ENV = ("env", "variables", "MAX_DAILY_LOSS_USD")
KEY, SECRET = (("env", "fingerprints", name) for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY"))
FLAWS: Mapping[str, tuple[tuple[str, ...], Any, str]] = {
    "a flaw with its line": (("env", "problems"), [{"line": 7, "text": "is not KEY=value"}], "keys.env:7: is not KEY="),
    "a flaw of the whole file": (("env", "problems"), [{"line": None, "text": "is a link"}], "keys.env: is a link"),
    "a key of somebody else": (("env", "unknown_keys"), ["DEBUG"], "keys.env: unknown key DEBUG"),
    "a limit that is missing": (ENV, None, "keys.env: MAX_DAILY_LOSS_USD is missing"),
    "a key that nobody knows": (KEY, "0" * 16, "ALPACA_API_KEY is not the key in force"),
    "no key": (SECRET, None, "ALPACA_SECRET_KEY is not the key in force (fingerprint none)"),
}


@pytest.mark.parametrize(("path", "value", "says"), FLAWS.values(), ids=FLAWS)
def test_a_flaw_of_one_env_file_is_named_with_host_and_file(good: Sight, path, value, says) -> None:
    finding = ask("env_file", spoilt(good, "host-2", path, value), {})
    assert (outcome(finding), "host-2 " in finding.seen, says in finding.seen) == ("fail", True, True), finding.seen
    assert "keys.env" in finding.remedy


def test_a_limit_that_is_gone_is_missing_too(good: Sight) -> None:
    finding = ask("env_file", spoilt(good, "host-2", ("env", "variables", "MAX_DAILY_LOSS_USD"), gone=True), {})
    assert (outcome(finding), "MAX_DAILY_LOSS_USD is missing" in finding.seen) == ("fail", True)


def test_the_live_key_in_the_paper_slot_is_called_by_its_name(good: Sight) -> None:
    live = good.doors.credentials("alpaca", "live")
    crossed = spoilt(good, "host-1", ("env", "fingerprints", "ALPACA_API_KEY"), live.fingerprint("salt"))
    finding = ask("env_file", crossed, {})
    assert "ALPACA_API_KEY is the live key in the paper slot" in finding.seen
    assert not any(part in finding.seen for pair in KEYS.values() for part in pair)


def test_the_paper_key_in_the_live_slot_is_called_by_its_name(live: Sight) -> None:
    paper = live.doors.credentials("alpaca", "paper")
    crossed = spoilt(live, "host-1", ("env", "fingerprints", "ALPACA_SECRET_KEY"), paper.fingerprint("salt", "secret"))
    assert "ALPACA_SECRET_KEY is the paper key in the live slot" in ask("env_file", crossed, {}).seen


def test_a_variable_must_be_so_in_the_file_and_in_the_process(good: Sight, live: Sight) -> None:
    params = {"name": "ENABLE_LIVE_TRADING"}
    assert outcome(ask("env_var", live, params)) == "pass"
    for place in ("env", "loaded"):
        finding = ask("env_var", spoilt(live, "host-2", (place, "variables", "ENABLE_LIVE_TRADING"), "false"), params)
        assert (outcome(finding), finding.expected) == ("fail", "true")
    assert ask("env_var", good, params).expected == "false"


def test_one_host_of_another_release_is_seen(good: Sight) -> None:
    finding = ask("release_equality", spoilt(good, "host-2", ("release_sha256",), "a" * 64), {})
    assert (outcome(finding), finding.seen) == ("fail", "host-1 ffffffffffff, host-2 aaaaaaaaaaaa")


AILMENTS: Mapping[str, tuple[tuple[str, ...], Any, str]] = {
    "an old loop": (("api", "health", "loop_age_s"), 10.1, "the loop last turned 10.1 s ago"),
    "a loop of the future": (("api", "health", "loop_age_s"), -3, "the loop last turned -3 s ago"),
    "an unknown loop": (("api", "health", "loop_age_s"), None, "an unknown number of s ago"),
    "open to the network": (("process", "listening"), ["127.0.0.1:18411", "0.0.0.0:18411"], "listens on 0.0.0.0:18411"),
    "open over IPv6": (("process", "listening"), ["[00000000000000000000000000000000]:18411"], "listens on [0000"),
    "nobody knows where": (("process", "listening"), [], "listens on an unknown address"),
    "a secret in an argument list": (
        ("secret_in_argv_pids",),
        [815],
        "a secret stands in the arguments of process [815]",
    ),
    "nobody looked for secrets": (("secret_in_argv_pids",), None, "process UNKNOWN"),
    "a full disk": (("disk", "free_bytes"), 999_999_999, "less than 1 GB of disk is free"),
}


@pytest.mark.parametrize(("path", "value", "says"), AILMENTS.values(), ids=AILMENTS)
def test_an_ailment_of_one_host_is_named(good: Sight, path, value, says) -> None:
    finding = ask("host_health", spoilt(good, "host-2", path, value), {})
    assert (outcome(finding), f"host-2: {says}" in finding.seen or says in finding.seen) == ("fail", True), finding.seen


@pytest.mark.parametrize("age", [0, 10, 10.0, -1.5])
def test_a_loop_within_the_bound_is_healthy(good: Sight, age) -> None:
    assert outcome(ask("host_health", spoilt(good, "host-2", ("api", "health", "loop_age_s"), age), {})) == "pass"
