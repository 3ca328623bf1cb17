from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from ops.sandbox.bots.signals import Holding, client_order_id, propose, signal_again, signal_at
from ops.sandbox.bots.venue import NewOrder, Quote

from .conftest import START

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


def test_the_client_order_id_is_deterministic_and_short_enough_for_the_venue() -> None:
    signal = signal_at("AAPL", START, 5)
    assert client_order_id(signal, "a1-p-") == "a1-p-AAPL-20261120T150000Z"
    assert len(client_order_id(signal_at("ABCDEFGH.I", START, 5), "abcdefgh-l-")) <= 48


@pytest.mark.parametrize(
    ("intent", "multiplier", "held", "expected"),
    [
        ("buy", "1", "0", ("buy", "2", "100.12", "day")),
        ("buy", "0.5", "0", ("buy", "1.00", "100.12", "day")),
        ("buy", "0.333", "0", ("buy", "0.66", "100.12", "day")),
        ("sell", "1", "3", ("sell", "3", "99.89", "day")),
        ("rest", "1", "0", ("buy", "2", "94.99", "gtc")),
        ("rest", "0.75", "0", ("buy", "1", "94.99", "gtc")),
        ("rest", "0.4", "0", "size is below one share"),
        ("sell", "1", "0", "nothing to sell"),
        ("buy", "0", "0", "size is zero"),
        ("sell", "0", "3", "size is zero"),
        ("hold", "1", "3", "no signal"),
    ],
)
def test_what_a_signal_leads_to(intent: str, multiplier: str, held: str, expected: object) -> None:
    order = propose(_signal(intent), QUOTE, Holding(Decimal(held), 0), Decimal(multiplier), "a1-p-")
    if isinstance(order, NewOrder):
        seen = (order.side, Decimal(order.qty), order.limit_price, order.time_in_force)
        side, qty, price, force = expected
        assert seen == (side, Decimal(qty), Decimal(price), force)
    else:
        assert order == expected


def test_at_most_two_orders_rest() -> None:
    held = Holding(Decimal(0), 2)
    assert propose(_signal("rest"), QUOTE, held, Decimal(1), "a1-p-") == "2 orders rest already"
