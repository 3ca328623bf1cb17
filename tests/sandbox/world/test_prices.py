"""Prices are a pure, gentle, mean-reverting function of symbol, time and seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ops.sandbox.venues.prices import Prices

BASE = {"AAPL": Decimal("190.00"), "PENNY": Decimal("0.02")}
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 730 * 86_400_000).map(lambda ms: NEW_YEAR + timedelta(milliseconds=ms))


@given(at=MOMENTS, seed=st.integers(0, 1000))
def test_the_same_in_every_run_and_near_the_base(at: datetime, seed: int) -> None:
    mid = Prices(BASE, seed).mid("AAPL", at)
    assert mid == Prices(BASE, seed).mid("AAPL", at)
    assert abs(mid / BASE["AAPL"] - 1) <= Decimal("0.0095")


@given(at=MOMENTS, symbol=st.sampled_from(sorted(BASE)))
def test_quotes_are_never_crossed_nor_free(at: datetime, symbol: str) -> None:
    quote = Prices(BASE, 7).quote(symbol, at)
    assert 0 < quote.bid < quote.ask
    assert quote.bid == quote.bid.quantize(Decimal("0.01"))
    assert symbol == "PENNY" or (quote.ask - quote.bid) / quote.bid < Decimal("0.0004")


@given(at=MOMENTS)
def test_a_second_moves_the_price_by_little(at: datetime) -> None:
    prices = Prices(BASE, 7)
    step = prices.mid("AAPL", at + timedelta(seconds=1)) / prices.mid("AAPL", at) - 1
    assert abs(step) < Decimal("0.0002")


@given(fill=st.uuids(), side=st.sampled_from(["buy", "sell"]))
def test_slippage_is_against_the_trader_and_at_most_three_bps(fill: object, side: str) -> None:
    touch = Decimal("190.00")
    price = Prices(BASE, 7).worsened(touch, side, str(fill))
    worse = price - touch if side == "buy" else touch - price
    assert 0 <= worse <= touch * Decimal("0.0003") + Decimal("0.01")


def test_symbols_and_seeds_differ_and_a_shock_scales() -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    assert Prices(BASE, 1).mid("AAPL", at) != Prices(BASE, 2).mid("AAPL", at)
    shocked = Prices(BASE, 1)
    shocked.shocks["AAPL"] = Decimal("0.9")
    assert shocked.mid("AAPL", at) == Prices(BASE, 1).mid("AAPL", at) * Decimal("0.9")
