from __future__ import annotations

from decimal import Decimal

import pytest

from ops.sandbox.bots.trading.risk import Exposure, Limits, daily_loss, refusal, slippage, slippage_bps

LIMITS = Limits(Decimal(500), Decimal(25), Decimal(1000), Decimal(3000), 10)


@pytest.mark.parametrize(
    ("pnl", "trips"), [(None, False), ("-500", False), ("-500.01", True), ("0", False), ("900", False)]
)
def test_daily_loss_trips_beyond_its_limit(pnl: str | None, trips: bool) -> None:
    assert daily_loss(None if pnl is None else Decimal(pnl), LIMITS).would_trip is trips


@pytest.mark.parametrize(("bps", "trips"), [(None, False), ("25", False), ("25.01", True), ("-90", False)])
def test_slippage_trips_beyond_its_limit(bps: str | None, trips: bool) -> None:
    assert slippage(None if bps is None else Decimal(bps), LIMITS).would_trip is trips


@pytest.mark.parametrize(
    ("side", "price", "bps"), [("buy", "100.10", "10"), ("buy", "99.90", "-10"), ("sell", "99.90", "10")]
)
def test_slippage_is_positive_when_worse(side: str, price: str, bps: str) -> None:
    assert slippage_bps(side, Decimal(price), Decimal(100)) == Decimal(bps)


@pytest.mark.parametrize(
    ("side", "qty", "held", "sent", "words"),
    [
        ("buy", "10", "0", 0, None),
        ("buy", "10.01", "0", 0, "order of"),
        ("buy", "10", "20", 0, None),
        ("buy", "10", "20.01", 0, "position would be"),
        ("sell", "10", "40", 0, None),
        ("buy", "1", "0", 10, "10 orders today"),
        ("sell", "1", "40", 10, "10 orders today"),
    ],
)
def test_the_limits_of_one_order(side: str, qty: str, held: str, sent: int, words: str | None) -> None:
    reason = refusal(side, Decimal(qty), Decimal(100), Exposure(Decimal(held), sent), LIMITS)
    assert reason is None if words is None else words in str(reason)
