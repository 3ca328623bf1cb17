"""A pass is earned: on the good sight each check passes, and with its input gone, null or garbled none of them does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.checks.registry import CHECKS, ask
from ops.checks.sight import Sight
from ops.hosts.reply import Reply
from ops.model.history import History
from tests.checks.sights import dark, outcome, spoilt
from tests.model.properties import tried

# Probe -> its parameters, and the places in a host's look without which it can prove nothing.
ON_HOSTS: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "mode_consistency": ({}, (
        "env.problems", "env.variables.TRADING_MODE", "env.variables.CONFIRM_LIVE_TRADING",
        "loaded.variables.TRADING_MODE", "loaded.variables.ENABLE_LIVE_TRADING", "api.mode.mode", "api.mode.account",
        "env", "loaded", "api", "api.mode", "env.variables", "loaded.variables",
    )),
    "killswitch.state": ({"expect": "armed"}, ("api", "api.switch", "api.switch.status")),
    "config_value": ({}, ("loaded", "loaded.variables", "loaded.variables.SIZE_MULTIPLIER")),
    "limits": ({}, (
        "loaded", "loaded.variables", "loaded.variables.MAX_DAILY_LOSS_USD", "evidence",
    )),
    "env_file": ({}, (
        "env", "env.problems", "env.unknown_keys", "env.variables", "env.fingerprints",
        "env.fingerprints.ALPACA_API_KEY", "env.fingerprints.ALPACA_SECRET_KEY",
    )),
    "env_var": ({"name": "TRADING_MODE"}, (
        "env", "loaded", "env.variables.TRADING_MODE", "loaded.variables.TRADING_MODE",
    )),
    "release_equality": ({}, ("release_sha256",)),
    "fleet_equality": ({}, (
        "release_sha256", "env", "env.variables", "env.variables.SYMBOLS", "env.variables.SIZE_MULTIPLIER",
        "env.fingerprints", "env.fingerprints.ALPACA_API_KEY", "loaded", "loaded.variables.MAX_DAILY_LOSS_USD",
        "api.mode.mode", "at", "process", "process.pid", "instances", "instances.expected", "instances.strays",
    )),
    "host_identity": ({}, (
        "machine", "machine.id", "machine.root", "machine.python", "helper", "helper.sha256", "watcher", "watcher.at",
    )),
    "host_health": ({}, (
        "api", "api.health", "api.health.loop_age_s", "process", "process.listening", "disk", "disk.free_bytes",
        "secret_in_argv_pids",
    )),
    "disk_free": ({"min_gb": 1}, ("disk", "disk.free_bytes")),
    "code_scan": ({}, ("secret_in_release_files",)),
    "soak": ({"days": 7}, (
        "evidence", "evidence.loops", "evidence.loops.2026-11-16", "evidence.loops.2026-11-16.errors",
        "evidence.loops.2026-11-16.modes", "evidence.loops.2026-11-16.gap_max_s", "evidence.loops.2026-11-13.first_at",
        "evidence.loops.2026-11-19.last_at", "evidence.log", "evidence.log.first_at", "evidence.log.last_at",
        "evidence.log.exceptions",
    )),
    "reconcile": ({"scope": "all"}, ("evidence", "evidence.fills", "evidence.orders")),
    "audit_store": ({}, ("evidence", "evidence.decisions", "evidence.orders")),
    "trade_stats": ({"metric": "slippage_bps"}, ("evidence", "evidence.fills")),
    "drill": ({"control": "replay"}, ("release_sha256",)),
}  # fmt: skip
# Probe -> its parameters and which answer of the venue it stands on.
AT_THE_VENUE: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "venue.auth": ({"env": "live"}, "account/alpaca/live"),
    "venue.key_class": ({"slot": "live"}, "account/alpaca/live"),
    "venue.funded": ({"env": "live"}, "account/alpaca/live"),
    "venue.open_orders": ({}, "orders/alpaca/paper"),
    "venue.portfolio": ({"expect": "flat"}, "positions/alpaca/paper"),
    "venue.account": ({"env": "live", "deny_prefix": ["PA"]}, "account/alpaca/live"),
    "venue.session_mode": ({"venue": "alpaca", "expect": "live"}, "account/alpaca/live"),
    "venue.key_permissions": ({"env": "live"}, "key/alpaca/live"),
    "venue.status": ({}, "status/alpaca/paper"),
    "venue.calendar": ({"check": "session_hours"}, "windows/alpaca/paper"),
    "venue.conditions": ({"halts": 0}, "status/alpaca/paper"),
    "soak": ({"days": 7}, "fills/alpaca/paper"),
    "reconcile": ({"scope": "fills"}, "fills/alpaca/paper"),
    "paper_trades": ({"min": 1, "within_h": 240}, "fills/alpaca/paper"),
    "trade_stats": ({"metric": "pnl_vs_expected"}, "account/alpaca/paper"),
}
IN_THE_PAST: Mapping[str, Mapping[str, Any]] = {
    "drill": {"control": "replay"},
    "alert_roundtrip": {},
    "attestation": {"evidence": "pnl_report", "role": "operator"},
    "by_hand": {},
    "act.key_rotate": {"slot": "live"},
}
BY_PEOPLE: Mapping[str, Mapping[str, Any]] = {
    "document": {"id": "emergency_contacts"},
    "contacts": {"role": "system_admin"},
}
FROM_MONITORS: Mapping[str, Mapping[str, Any]] = {
    "prom_target": {},
    "promql": {"expr": "bot_up", "value": 60},
    "dashboard": {"max_staleness_s": 60},
}
NEVER_BY_ITSELF = ("action", "review")
PLACES = [(probe, place) for probe, (_, places) in ON_HOSTS.items() for place in places]
JUNK = (None, "", "junk", [], {}, -7, True, float("nan"), [None], {"junk": None})


def test_every_check_there_is_has_its_place_in_these_tables() -> None:
    tables = (ON_HOSTS, AT_THE_VENUE, IN_THE_PAST, BY_PEOPLE, FROM_MONITORS, NEVER_BY_ITSELF)
    assert {name for table in tables for name in table} == set(CHECKS)


PASSING = [
    *((probe, params) for probe, (params, _) in ON_HOSTS.items()),
    *((probe, params) for probe, (params, _) in AT_THE_VENUE.items()),
    *IN_THE_PAST.items(),
    *BY_PEOPLE.items(),
]


@pytest.mark.parametrize(("probe", "params"), PASSING, ids=[f"{probe} {params or ''}" for probe, params in PASSING])
def test_on_the_good_sight_it_passes(good: Sight, probe: str, params: Mapping[str, Any]) -> None:
    finding = ask(probe, good, params)
    assert outcome(finding) == "pass", finding.seen


@pytest.mark.parametrize(("probe", "place"), PLACES, ids=[f"{probe}: {place}" for probe, place in PLACES])
def test_with_its_input_gone_or_garbled_on_one_host_it_does_not_pass(good: Sight, probe: str, place: str) -> None:
    path = tuple(place.split("."))
    seen = {"gone": spoilt(good, "host-2", path, gone=True)}
    seen |= {repr(junk): spoilt(good, "host-2", path, junk) for junk in JUNK if not allowed(f"{probe}: {place}", junk)}
    passed = [how for how, sight in seen.items() if outcome(ask(probe, sight, ON_HOSTS[probe][0])) == "pass"]
    assert passed == []


EMPTY = ([], "", {})
# What a healthy host may show there: nothing wrong, no order open, no fill on this host, a short gap.
HEALTHY: Mapping[str, tuple[object, ...]] = {
    "mode_consistency: env.problems": ([],),
    "env_file: env.problems": EMPTY,
    "env_file: env.unknown_keys": EMPTY,
    "host_health: secret_in_argv_pids": ([],),
    "code_scan: secret_in_release_files": ([],),
    "soak: evidence.log.exceptions": EMPTY,
    "soak: evidence.loops.2026-11-16.gap_max_s": (-7, True),
    "reconcile: evidence.orders": EMPTY,
    "audit_store: evidence.orders": EMPTY,
    "trade_stats: evidence.fills": EMPTY,
    "fleet_equality: instances.strays": ([],),
}


def allowed(place: str, junk: object) -> bool:
    return junk in HEALTHY.get(place, ())


@pytest.mark.parametrize("probe", ON_HOSTS)
@pytest.mark.parametrize("hosts", [("host-1",), ("host-1", "host-2")], ids=["one dark", "all dark"])
def test_a_host_that_does_not_answer_is_never_a_pass(good: Sight, probe: str, hosts: tuple[str, ...]) -> None:
    assert outcome(ask(probe, dark(good, *hosts), ON_HOSTS[probe][0])) != "pass"


@pytest.mark.parametrize("probe", [probe for probe in ON_HOSTS if probe not in ("drill", "trade_stats")])
def test_no_host_at_all_is_never_a_pass(good: Sight, probe: str) -> None:
    assert outcome(ask(probe, replace(good, replies={}), ON_HOSTS[probe][0])) != "pass"


@pytest.mark.parametrize("probe", AT_THE_VENUE)
def test_a_venue_that_does_not_answer_is_unknown(good: Sight, probe: str) -> None:
    """The answer is taken out of the sight: asking for it anew meets a closed port."""
    params, name = AT_THE_VENUE[probe]
    good._asked.pop(name)
    assert outcome(ask(probe, good, params)) == "unknown"


@pytest.mark.parametrize("probe", IN_THE_PAST)
def test_without_a_past_nothing_passes(good: Sight, probe: str) -> None:
    assert outcome(ask(probe, replace(good, history=History("alpaca-bot")), IN_THE_PAST[probe])) != "pass"


@pytest.mark.parametrize("probe", FROM_MONITORS)
def test_a_monitor_that_does_not_answer_is_unknown(good: Sight, probe: str) -> None:
    assert outcome(ask(probe, good, FROM_MONITORS[probe])) == "unknown"


def test_what_belongs_to_a_later_phase_is_skipped_and_opens_no_gate(good: Sight) -> None:
    finding = ask("action", good, {"step": "flip", "verbs": ["go-live"]})
    assert outcome(finding) == "skipped"


TEXT = st.text(max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@tried(60)
@given(place=st.sampled_from(PLACES), junk=ANYTHING)
def test_whatever_a_host_answers_a_check_ends_with_a_finding(good: Sight, place: tuple[str, str], junk: object) -> None:
    """Never with an exception: a document from outside may hold anything."""
    probe, path = place
    finding = ask(probe, spoilt(good, "host-1", tuple(path.split(".")), junk), ON_HOSTS[probe][0])
    assert outcome(finding) in ("pass", "fail", "unknown", "stale")


@tried(40)
@given(look=st.dictionaries(st.sampled_from(["env", "loaded", "api", "process", "evidence", "disk"]), ANYTHING))
def test_a_look_of_any_shape_passes_nothing(good: Sight, look: dict[str, Any]) -> None:
    replies = {**good.replies, "host-1": Reply("host-1", True, True, look=look)}
    for probe, (params, _) in ON_HOSTS.items():
        assert outcome(ask(probe, replace(good, replies=replies), params)) != "pass"
