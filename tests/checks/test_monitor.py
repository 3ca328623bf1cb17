"""What Prometheus and Grafana show of the bots: fresh, for every host, or it does not pass."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ops.checks.registry import ask
from ops.checks.sight import Sight
from tests.checks.sights import outcome
from tests.field import awaited
from tests.monitors.conftest import running, watched

__all__ = ["running", "watched"]


@pytest.fixture
def seen(good: Sight, watched) -> Sight:
    """The good sight with the world's monitors, one host that answers its scrapes, and the machine's clock."""
    monitoring = good.profile.monitoring
    moved = monitoring.model_copy(
        update={
            "prometheus": monitoring.prometheus.model_copy(update={"url": watched.prometheus}),
            "grafana": monitoring.grafana.model_copy(update={"url": watched.grafana}),
        }
    )
    host = good.profile.hosts["host-1"].model_copy(update={"api": f"http://{watched.instance}"})
    profile = good.profile.model_copy(update={"monitoring": moved, "hosts": {"host-1": host}})
    return replace(good, doors=replace(good.doors, profile=profile, clock=lambda: datetime.now(UTC)))


def test_a_host_that_is_scraped_is_up(seen: Sight) -> None:
    awaited(lambda: outcome(ask("prom_target", seen, {})) == "pass")
    assert ask("prom_target", seen, {}).seen == "1 of 1 up"


def test_a_host_that_is_not_scraped_is_named(seen: Sight) -> None:
    hosts = {
        **seen.profile.hosts,
        "host-2": seen.profile.hosts["host-1"].model_copy(update={"api": "http://127.0.0.1:9"}),
    }
    two = replace(seen, doors=replace(seen.doors, profile=seen.profile.model_copy(update={"hosts": hosts})))
    finding = ask("prom_target", two, {})
    assert (outcome(finding), finding.seen) == ("fail", "1 of 2 up, 127.0.0.1:9 is not")


@pytest.mark.parametrize(
    ("expression", "bound", "wanted"),
    [
        ("bot_loop_age_seconds", "60", "pass"),
        ("bot_loop_age_seconds", "0.5", "pass"),
        ("bot_loop_age_seconds", "0.4", "fail"),
        ("no_such_metric", "60", "unknown"),
        ("rate(bot_up[5m]", "60", "unknown"),
        ("bot_loop_age_seconds", "soon", "unknown"),
    ],
)
def test_a_value_is_held_against_its_bound_and_a_missing_one_is_unknown(seen: Sight, expression, bound, wanted) -> None:
    assert outcome(ask("promql", seen, {"expr": expression, "value": bound})) == wanted


def test_samples_that_grow_old_are_seen_by_their_age(seen: Sight, watched) -> None:
    watched.fault("scrape_stopped")
    age = {"expr": "time() - max(timestamp(bot_up))", "value": "0.5"}
    awaited(lambda: outcome(ask("promql", seen, age)) == "fail")


def test_a_dashboard_with_panels_that_have_no_data_names_them(seen: Sight) -> None:
    """The one bot of this world exposes three series; the shipped dashboard shows six."""
    finding = ask("dashboard", seen, {"max_staleness_s": 60})
    assert outcome(finding) == "fail"
    assert finding.seen.startswith("6 panels, without fresh data: ")


def test_a_dashboard_that_is_lost_is_unknown(seen: Sight, watched) -> None:
    watched.fault("dashboard_missing")
    assert outcome(ask("dashboard", seen, {"max_staleness_s": 60})) == "unknown"


def test_data_that_is_too_old_for_the_question_is_not_fresh(seen: Sight) -> None:
    began = time.monotonic()
    later = replace(seen, doors=replace(seen.doors, clock=lambda: datetime.now(UTC) + timedelta(seconds=61)))
    finding = ask("dashboard", later, {"max_staleness_s": 60})
    assert time.monotonic() - began < 5
    assert (outcome(finding), finding.seen.count(",")) == ("fail", 6)
