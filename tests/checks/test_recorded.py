"""What was done before counts for a while, for the release it was done with, and only if it ended well."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ops.checks.registry import ask
from ops.checks.sight import Sight
from ops.model.canonical import utc_text
from ops.model.history import Transition
from tests.checks.sights import NOW, outcome, spoilt

DRILL = {"control": "replay"}
AGES = [
    (timedelta(0), "pass"),
    (timedelta(hours=168), "pass"),
    (timedelta(hours=168, seconds=1), "stale"),
    (timedelta(days=400), "stale"),
    (timedelta(seconds=-1), "pass"),
    (timedelta(seconds=-3), "stale"),
    (timedelta(days=-1), "stale"),
]


@pytest.mark.parametrize(("age", "wanted"), AGES, ids=[str(age) for age, _ in AGES])
@pytest.mark.parametrize(
    ("probe", "params", "name"), [("drill", DRILL, "drill/replay"), ("alert_roundtrip", {}, "drill/alert")]
)
def test_a_drill_counts_for_a_week_and_never_from_the_future(good: Sight, probe, params, name, age, wanted) -> None:
    good.history.evidence[name] = {**good.history.evidence[name], "at": utc_text(NOW - age)}
    assert outcome(ask(probe, good, params)) == wanted


def test_a_drill_that_failed_is_a_fail_however_fresh(good: Sight) -> None:
    record = {"outcome": "fail", "seen": "host-1: the switch stayed armed", "at": utc_text(NOW)}
    good.history.evidence["drill/replay"] = record
    finding = ask("drill", good, DRILL)
    assert (outcome(finding), finding.seen, finding.remedy) == ("fail", record["seen"], "invoke drill")


def test_a_drill_of_another_release_is_stale(good: Sight) -> None:
    for host in ("host-1", "host-2"):
        good = spoilt(good, host, ("release_sha256",), "a" * 64)
    finding = ask("drill", good, DRILL)
    assert (outcome(finding), finding.seen) == ("stale", "the release has changed since")


@pytest.mark.parametrize(("hours", "wanted"), [(0, "pass"), (24, "pass"), (25, "stale"), (-1, "stale")])
def test_an_attestation_counts_for_its_hours(good: Sight, hours: int, wanted: str) -> None:
    record = {"outcome": "pass", "person": "raj", "at": utc_text(NOW - timedelta(hours=hours))}
    good.history.evidence["attestation/pnl_report"] = record
    params = {"evidence": "pnl_report", "role": "operator", "max_age_h": 24}
    assert outcome(ask("attestation", good, params)) == wanted


def test_what_nobody_attested_names_the_command(good: Sight) -> None:
    finding = ask("attestation", good, {"evidence": "order_stream_watched", "role": "operator"})
    assert (outcome(finding), finding.remedy) == ("unknown", "invoke checklist.attest --evidence=order_stream_watched")


def test_a_key_that_was_put_there_by_hand_was_never_rotated_in(good: Sight) -> None:
    good.history.keys.clear()
    finding = ask("act.key_rotate", good, {"slot": "live"})
    assert (outcome(finding), finding.remedy) == ("fail", "invoke rotate-keys")


def test_a_key_that_was_only_handed_in_was_never_tested(good: Sight) -> None:
    good.history.keys[:] = [row for row in good.history.keys if row["state"] == "pending"]
    assert outcome(ask("act.key_rotate", good, {"slot": "live"})) == "fail"


def test_a_key_grows_old(good: Sight) -> None:
    for row in good.history.keys:
        row["at"] = utc_text(NOW - timedelta(days=91))
    assert outcome(ask("act.key_rotate", good, {"slot": "live"})) == "stale"


def test_an_action_is_as_the_newest_transition_left_it(good: Sight) -> None:
    params = {"step": "flip", "verbs": ["go-live"]}
    done = Transition("t1", "go-live", 1, "p", "", intended=["flip"], done={"flip": {}}, outcome="committed")
    good.history.transitions["t1"] = done
    assert outcome(ask("action", good, params)) == "pass"
    good.history.transitions["t2"] = Transition("t2", "go-live", 2, "p", "", intended=["flip"])
    assert outcome(ask("action", good, params)) == "fail"
    assert outcome(ask("action", good, {"step": "flip", "verbs": ["promote"]})) == "skipped"
