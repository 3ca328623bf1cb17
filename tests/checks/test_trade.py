"""What the bots did: a clean week is shown by every day of it, and records agree with the venue or they do not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ops.checks.registry import ask
from ops.checks.sight import Sight
from ops.hosts.reply import Reply
from ops.model.canonical import utc_text
from tests.checks.sights import DAYS, FILLED_AT, NOW, account, fill, open_order, outcome, place

Records = dict[str, Any]


def recorded(good: Sight, change: Callable[[Records], object], host: str = "host-2") -> Sight:
    """The sight with one host's records changed."""
    look = copy.deepcopy(dict(good.replies[host].look))
    change(look["evidence"])
    return replace(good, replies={**good.replies, host: Reply(host, True, True, look=look)})


def answered(good: Sight, **asked: Any) -> Sight:
    """The sight with other answers of the venue."""
    return replace(good, _asked={**good._asked, **{place(name): value for name, value in asked.items()}})


def day(records: Records, number: int) -> Records:
    found: Records = records["loops"][DAYS[number]]
    return found


def exception(at: str) -> Callable[[Records], object]:
    row = {"at": at, "text": f"{at} ERROR unhandled exception: ZeroDivisionError"}
    return lambda records: records["log"]["exceptions"].append(row)


def ends_early(records: Records) -> None:
    records["log"]["last_at"] = f"{DAYS[-2]}T12:00:00.000000Z"


DIRTY: Mapping[str, tuple[Callable[[Records], object], str]] = {
    "a day is missing": (lambda r: r["loops"].pop(DAYS[3]), f"{DAYS[3]}: no loop at all"),
    "the first day is missing": (lambda r: r["loops"].pop(DAYS[0]), f"{DAYS[0]}: no loop at all"),
    "yesterday is missing": (lambda r: r["loops"].pop(DAYS[-1]), f"{DAYS[-1]}: no loop at all"),
    "a loop failed": (lambda r: day(r, 2).update(errors=1), f"{DAYS[2]}: 1 loops failed"),
    "a loop ran live": (lambda r: day(r, 4).update(modes=["paper", "live"]), f"{DAYS[4]}: ran as paper, live"),
    "a day ran live": (lambda r: day(r, 4).update(modes=["live"]), f"{DAYS[4]}: ran as live"),
    "a day has no mode": (lambda r: day(r, 4).update(modes=[]), f"{DAYS[4]}: ran as"),
    "silence within a day": (lambda r: day(r, 1).update(gap_max_s=5401), f"{DAYS[1]}: silent for more than 90 minutes"),
    "a late beginning": (lambda r: day(r, 0).update(first_at=f"{DAYS[0]}T01:31:00Z"), f"{DAYS[0]}: silent"),
    "an early end": (lambda r: day(r, -1).update(last_at=f"{DAYS[-1]}T22:29:00Z"), f"{DAYS[-1]}: silent"),
    "an exception in the log": (exception(f"{DAYS[5]}T10:00:00.000000Z"), f"log {DAYS[5]}T10:00:00Z: ERROR unhandled"),
    "an exception today": (exception("2026-11-20T10:00:00.000000Z"), "log 2026-11-20T10:00:00Z"),
    "a log that begins late": (lambda r: r["log"].update(first_at=f"{DAYS[1]}T00:00:00Z"), "the log begins only at"),
    "a log that ends early": (ends_early, "the log ends at"),
    "an empty log": (lambda r: r["log"].update(first_at=None, last_at=None), "the log begins only at no time"),
}


@pytest.mark.parametrize(("change", "says"), DIRTY.values(), ids=DIRTY)
@pytest.mark.parametrize("host", ["host-1", "host-2"])
def test_a_week_with_one_blemish_on_one_host_is_not_clean(good: Sight, host: str, change, says: str) -> None:
    finding = ask("soak", recorded(good, change, host), {"days": 7})
    assert outcome(finding) == "fail"
    assert f"{host}: {says}" in finding.seen


CLEAN: Mapping[str, Callable[[Records], object]] = {
    "a silence of exactly the bound": lambda r: day(r, 1).update(gap_max_s=5400),
    "an exception before the week": exception("2026-11-12T23:59:59.000000Z"),
    "loops of today": lambda r: r["loops"].update({"2026-11-20": {**day(r, 0), "errors": 0, "modes": ["paper"]}}),
    "loops of the week before": lambda r: r["loops"].update({"2026-11-12": {**day(r, 0), "errors": 3}}),
}


@pytest.mark.parametrize("change", CLEAN.values(), ids=CLEAN)
def test_what_lies_outside_the_week_or_within_the_bound_is_no_blemish(good: Sight, change) -> None:
    finding = ask("soak", recorded(good, change), {"days": 7})
    assert outcome(finding) == "pass", finding.seen


def test_records_that_could_not_be_read_prove_nothing(good: Sight) -> None:
    unread = recorded(good, lambda records: records.update(error="audit-paper.sqlite: no such table"))
    for probe, params in (("soak", {"days": 7}), ("reconcile", {}), ("audit_store", {})):
        assert outcome(ask(probe, unread, params)) == "unknown"


def test_the_week_on_paper_is_not_asked_of_a_live_system(live: Sight) -> None:
    """What the hosts show then are the records of the live mode."""
    assert outcome(ask("soak", live, {"days": 7})) == "skipped"


def test_a_week_without_a_fill_at_the_venue_is_not_proven(good: Sight) -> None:
    for fills in ([], [fill("host-1", at=NOW - timedelta(hours=1))], [fill("host-1", at=NOW - timedelta(days=8))]):
        assert outcome(ask("soak", answered(good, fills_paper=fills), {"days": 7})) == "fail"


def test_more_days_than_there_are_records_of_are_not_proven(good: Sight) -> None:
    assert outcome(ask("soak", good, {"days": 8})) == "fail"


# Reconciliation


def both(**changes: Any) -> list[Any]:
    """The venue's fills, the one of host-1 changed."""
    return [fill("host-1", **changes), fill("host-2")]


DIFFERENT: Mapping[str, tuple[list[Any], str]] = {
    "a quantity": (both(qty=Decimal(3)), "recorded AAPL buy 2 at 190.0500, venue AAPL buy 3"),
    "a price": (both(price=Decimal("190.50")), "venue AAPL buy 2 at 190.5000"),
    "a side": (both(side="sell"), "venue AAPL sell 2"),
    "a symbol": (both(symbol="MSFT"), "venue MSFT buy 2"),
    "a fill that no bot knows": ([*both(), fill("host-3")], "the venue filled AAPL buy 2 (order"),
    "a fill that the venue does not show": ([fill("host-2")], "a bot recorded AAPL buy 2 (order"),
    "a second part of a fill": ([*both(), fill("host-1", id="more", qty=Decimal(1))], "venue AAPL buy 3"),
    "nothing at the venue": ([], "that the venue does not show"),
}  # fmt: skip


@pytest.mark.parametrize(("fills", "says"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_difference_from_the_venue_is_named(good: Sight, fills, says: str) -> None:
    finding = ask("reconcile", answered(good, fills_paper=fills), {"scope": "fills"})
    assert outcome(finding) == "fail"
    assert says in finding.seen, finding.seen


SAME: Mapping[str, list[Any]] = {
    "two parts that make the whole": [
        fill("host-1", id="1", qty=Decimal("0.5"), price=Decimal("190.02")),
        fill("host-1", id="2", qty=Decimal("1.5"), price=Decimal("190.06")),
        fill("host-2"),
    ],
    "a price within a basis point": both(price=Decimal("190.06")),
    "a fill that is too young to be recorded": [*both(), fill("host-3", at=NOW - timedelta(seconds=5))],
    "a fill as the window began": [*both(), fill("host-3", at=NOW - timedelta(days=8) + timedelta(seconds=1))],
}


@pytest.mark.parametrize("fills", SAME.values(), ids=SAME)
def test_what_agrees_or_cannot_be_told_yet_is_no_difference(good: Sight, fills) -> None:
    finding = ask("reconcile", answered(good, fills_paper=fills), {"scope": "fills"})
    assert outcome(finding) == "pass", finding.seen


def test_a_record_as_the_window_began_is_no_difference(good: Sight) -> None:
    """The hosts are asked a moment before the venue: their window begins a moment earlier."""
    edge = utc_text(NOW - timedelta(days=8, seconds=1))
    older = recorded(good, lambda r: r["fills"].append({**r["fills"][0], "order_id": "at-the-edge", "at": edge}))
    assert outcome(ask("reconcile", older, {"scope": "fills"})) == "pass"


def test_a_fill_that_stands_twice_in_the_records_is_a_difference(good: Sight) -> None:
    twice = recorded(good, lambda r: r["fills"].append(r["fills"][0]))
    assert outcome(ask("reconcile", twice, {"scope": "fills"})) == "fail"


def test_an_open_order_in_nobodys_records_is_a_difference_once_it_is_old_enough(good: Sight) -> None:
    known, foreign = open_order("a1-p-1"), open_order("0d5e-by-hand")
    young = open_order("a1-p-2", submitted_at=NOW - timedelta(seconds=5))
    assert outcome(ask("reconcile", answered(good, orders_paper=[known, young]), {"scope": "all"})) == "pass"
    finding = ask("reconcile", answered(good, orders_paper=[known, foreign]), {"scope": "all"})
    assert outcome(finding) == "fail"
    assert "open order 0d5e-by-hand (AAPL buy 1) is in no bot's records" in finding.seen
    assert outcome(ask("reconcile", answered(good, orders_paper=[foreign]), {"scope": "fills"})) == "pass"


def test_a_live_system_is_reconciled_with_the_live_account(live: Sight) -> None:
    assert outcome(ask("reconcile", answered(live, fills_paper=[]), {})) == "pass"
    assert outcome(ask("reconcile", answered(live, fills_live=[]), {})) == "fail"


# Statistics


def priced(good: Sight, price: str, side: str = "buy", reference: str | None = "190.00", hours: int = 20) -> Sight:
    changes = {"price": price, "side": side, "reference_price": reference, "at": utc_text(NOW - timedelta(hours=hours))}
    return recorded(good, lambda records: records["fills"][0].update(changes))


@pytest.mark.parametrize(
    ("price", "side", "wanted"),
    [("190.47", "buy", "pass"), ("190.48", "buy", "fail"), ("189.53", "sell", "pass"), ("189.52", "sell", "fail"),
     ("180.00", "buy", "pass"), ("200.00", "sell", "pass")],
)  # fmt: skip
def test_slippage_is_cost_against_the_price_at_decision_whatever_the_side(good: Sight, price, side, wanted) -> None:
    """25 basis points of 190 are 47.5 cents; a better price than expected is never too much."""
    assert outcome(ask("trade_stats", priced(good, price, side), {"metric": "slippage_bps"})) == wanted


def test_the_slippage_of_the_day_before_does_not_count(good: Sight) -> None:
    assert outcome(ask("trade_stats", priced(good, "199.00", hours=25), {"metric": "slippage_bps"})) == "pass"


def test_no_fill_in_a_day_proves_nothing_about_slippage(good: Sight) -> None:
    for host in ("host-1", "host-2"):
        good = recorded(good, lambda records: records["fills"].clear(), host)
    assert outcome(ask("trade_stats", good, {"metric": "slippage_bps"})) == "unknown"


def test_live_fills_are_held_against_the_paper_baseline(live: Sight) -> None:
    params = {"metric": "fill_vs_paper"}
    assert outcome(ask("trade_stats", live, params)) == "pass"
    assert outcome(ask("trade_stats", priced(live, "190.95"), params)) == "fail"
    live.history.evidence.pop("paper_baseline")
    assert outcome(ask("trade_stats", live, params)) == "unknown"


def test_paper_fills_say_nothing_about_live_ones(good: Sight) -> None:
    assert outcome(ask("trade_stats", good, {"metric": "fill_vs_paper"})) == "unknown"


@pytest.mark.parametrize(
    ("last", "wanted"), [("24750", "pass"), ("24749.99", "fail"), ("25250", "pass"), ("25251", "fail")]
)
def test_profit_and_loss_of_the_day_stay_within_the_tolerance_both_ways(good: Sight, last, wanted) -> None:
    known = answered(good, account_paper=account("paper", last_equity_usd=Decimal(last)))
    assert outcome(ask("trade_stats", known, {"metric": "pnl_vs_expected"})) == wanted


# Decisions


def test_an_order_without_a_decision_is_not_covered(good: Sight) -> None:
    finding = ask("audit_store", recorded(good, lambda r: r["decisions"][0].update(client_order_id=None)), {})
    assert outcome(finding) == "fail"
    assert "1 without a decision" in finding.seen


def test_decisions_of_long_ago_cover_nothing_today(good: Sight) -> None:
    old = utc_text(FILLED_AT - timedelta(days=1))
    for host in ("host-1", "host-2"):
        good = recorded(good, lambda records: records["decisions"][0].update(at=old), host)
    assert outcome(ask("audit_store", good, {})) == "fail"
