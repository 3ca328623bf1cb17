"""What the venue says about key, account, money and orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ops.checks.registry import ask
from ops.checks.sight import Sight
from ops.venues.protocol import PositionView
from tests.checks.sights import account, open_order, outcome


def answered(good: Sight, **asked: Any) -> Sight:
    return replace(good, _asked={**good._asked, **{name.replace("_", "/"): value for name, value in asked.items()}})


@pytest.mark.parametrize(
    ("changes", "wanted"), [({}, "pass"), ({"number": "912345699"}, "fail"), ({"blocked": True}, "fail")]
)
def test_the_key_opens_the_pinned_account_and_no_other(good: Sight, changes: Mapping[str, Any], wanted: str) -> None:
    finding = ask("venue.auth", answered(good, account_live=account("live", **changes)), {"env": "live"})
    assert (outcome(finding), finding.expected) == (wanted, "account 912345678")


def test_without_a_name_the_slot_in_force_is_meant(good: Sight, live: Sight) -> None:
    assert ask("venue.auth", good, {}).expected == "account PA3SANDBOX01"
    assert ask("venue.auth", live, {}).expected == "account 912345678"


def test_a_paper_account_behind_the_live_key_is_refused(good: Sight) -> None:
    crossed = answered(good, account_live=account("live", number="PA0", paper=True))
    finding = ask("venue.key_class", crossed, {"slot": "live"})
    assert (outcome(finding), "the live key opens a paper account" in finding.seen) == ("fail", True)


def test_one_key_in_both_slots_is_refused(good: Sight) -> None:
    secrets, name = good.doors.secrets, good.profile.venue.live.credentials
    before = secrets.credentials(name).values()
    secrets.put(name, *secrets.credentials(good.profile.venue.paper.credentials).values())
    finding = ask("venue.key_class", good, {"slot": "live"})
    secrets.put(name, *before)
    assert (outcome(finding), "the same key is in both slots" in finding.seen) == ("fail", True)


@pytest.mark.parametrize("state", ["previous", "revoked"])
def test_a_key_that_was_in_use_before_is_refused(good: Sight, state: str) -> None:
    mark = good.doors.credentials("live").fingerprint("salt")
    good.history.keys.append({"slot": "live", "fingerprint": mark, "state": state, "at": "2026-11-01T00:00:00Z"})
    finding = ask("venue.key_class", good, {"slot": "live"})
    assert (outcome(finding), "this key was in use before" in finding.seen) == ("fail", True)


@pytest.mark.parametrize(("equity", "wanted"), [("10000", "pass"), ("9999.99", "fail"), ("0", "fail")])
def test_the_planned_money_is_there_to_the_cent(good: Sight, equity: str, wanted: str) -> None:
    poor = answered(good, account_live=account("live", equity_usd=Decimal(equity)))
    assert outcome(ask("venue.funded", poor, {"env": "live"})) == wanted


def test_an_open_order_that_is_not_ours_is_named(good: Sight) -> None:
    ours, foreign = [open_order("a1-p-1"), open_order("a2-p-9")], open_order("by-hand", symbol="MSFT")
    assert outcome(ask("venue.open_orders", answered(good, orders_paper=ours), {})) == "pass"
    finding = ask("venue.open_orders", answered(good, orders_paper=[*ours, foreign]), {})
    assert (outcome(finding), finding.seen) == ("fail", "3 open, 1 not ours: MSFT buy 1 (by-hand)")


def test_positions_matter_only_where_flat_is_expected(good: Sight) -> None:
    held = answered(good, positions_paper=[PositionView("AAPL", Decimal(2), Decimal(380))])
    assert outcome(ask("venue.portfolio", held, {})) == "pass"
    finding = ask("venue.portfolio", held, {"expect": "flat"})
    assert (outcome(finding), finding.seen) == ("fail", "AAPL 2")


def test_a_key_that_is_missing_is_a_fail_with_its_remedy(good: Sight) -> None:
    path = good.doors.secrets.path(good.profile.venue.live.credentials)
    away = path.rename(path.with_suffix(".away"))
    sight = replace(good, _asked={}, doors=replace(good.doors, _venues={}))
    finding = ask("venue.auth", sight, {"env": "live"})
    away.rename(path)
    assert (outcome(finding), "there is no such secret" in finding.seen, finding.remedy) == (
        "fail", True, "put it there, mode 0600",
    )  # fmt: skip
