from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from ops.sandbox.bots.settings import Sizing
from ops.sandbox.bots.trading.signals import Holding, Ticket, propose, signal_again, signal_at
from ops.sandbox.bots.venue import NewOrder, Quote

from ..conftest import GRIDS, START

QUOTE = Quote(Decimal("99.99"), Decimal("100.01"))


def _signal(intent: str, symbol: str = "AAPL"):
    moments = (START + timedelta(seconds=5 * step) for step in range(4))
    return next(s for s in (signal_at(symbol, moment, 5) for moment in moments) if s.intent == intent)


def test_a_bucket_has_one_signal_and_four_buckets_have_all_intents() -> None:
    assert signal_at("AAPL", START, 5) == signal_at("AAPL", START + timedelta(seconds=4.9), 5)
    intents = {signal_at("AAPL", START + timedelta(seconds=5 * step), 5).intent for step in range(4)}
    assert intents == {"buy", "sell", "hold", "rest"}


def test_a_recorded_signal_is_rebuilt_exactly() -> None:
    signal = signal_at("BRK.B", START, 5)
    assert signal_again(signal.signal_id, 5) == signal


def test_one_signal_has_one_digest() -> None:
    assert signal_at("AAPL", START, 5).digest == signal_at("AAPL", START + timedelta(seconds=4), 5).digest
    assert signal_at("AAPL", START, 5).digest != signal_at("AAPL", START + timedelta(seconds=5), 5).digest


def _ticket(kind: str, sizing: Sizing, multiplier: str = "1") -> Ticket:
    return Ticket("id", GRIDS[kind], sizing, Decimal(multiplier), Decimal(2000))


@pytest.mark.parametrize(
    ("intent", "multiplier", "held", "expected"),
    [
        ("buy", "1", "0", ("buy", "2", "100.12", "day")),
        ("buy", "0.5", "0", ("buy", "1.00", "100.12", "day")),
        ("buy", "0.333", "0", ("buy", "0.66", "100.12", "day")),
        ("sell", "1", "3", ("sell", "3", "99.89", "day")),
        ("rest", "1", "0", ("buy", "2", "94.99", "gtc")),
        ("rest", "0.75", "0", ("buy", "1", "94.99", "gtc")),
        ("rest", "0.4", "0", "size is below one lot"),
        ("sell", "1", "0", "nothing to sell"),
        ("buy", "0", "0", "size is zero"),
        ("sell", "0", "3", "size is zero"),
        ("hold", "1", "3", "no signal"),
    ],
)
def test_what_a_signal_leads_to(intent: str, multiplier: str, held: str, expected: object) -> None:
    ticket = _ticket("alpaca", Sizing(units=Decimal(2), resting_lot=Decimal(1)), multiplier)
    order = propose(_signal(intent), QUOTE, Holding(Decimal(held), 0), ticket)
    if isinstance(order, NewOrder):
        seen = (order.side, Decimal(order.qty), order.limit_price, order.time_in_force)
        side, qty, price, force = expected
        assert seen == (side, Decimal(qty), Decimal(price), force)
    else:
        assert order == expected


def test_at_most_two_orders_rest() -> None:
    held = Holding(Decimal(0), 2)
    assert propose(_signal("rest"), QUOTE, held, _ticket("alpaca", Sizing(units=Decimal(2)))) == "2 orders rest already"


@pytest.mark.parametrize(
    ("kind", "sizing", "quote", "price", "qty"),
    [
        ("kraken", Sizing(money_usd=Decimal(200)), ("89990", "90010"), "90100.1", "0.0022"),
        ("kalshi", Sizing(money_usd=Decimal(50)), ("0.50", "0.51"), "0.52", "96"),
        ("kalshi", Sizing(money_usd=Decimal(50)), ("0.98", "0.99"), "0.99", "50"),
        ("polymarket", Sizing(money_usd=Decimal(50)), ("0.50", "0.51"), "0.511", "97.84"),
        ("ibkr", Sizing(units=Decimal(2)), ("99.99", "100.01"), "100.12", "2"),
    ],
)
def test_prices_and_quantities_keep_to_the_grid_of_the_venue(
    kind: str, sizing: Sizing, quote: tuple[str, str], price: str, qty: str
) -> None:
    seen = Quote(*map(Decimal, quote))
    order = propose(_signal("buy"), seen, Holding(Decimal(0), 0), _ticket(kind, sizing))
    assert isinstance(order, NewOrder)
    assert (order.limit_price, order.qty) == (Decimal(price), Decimal(qty))


def test_a_holding_beyond_one_order_is_sold_in_parts() -> None:
    order = propose(_signal("sell"), QUOTE, Holding(Decimal(50), 0), _ticket("alpaca", Sizing(units=Decimal(2))))
    assert isinstance(order, NewOrder)
    assert (order.qty, order.qty * order.limit_price <= 2000) == (Decimal("20.02"), True)
