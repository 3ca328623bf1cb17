"""The door to Alpaca against the strict simulator: every way in which the venue can fail has one of two names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from ops.sandbox.bots.broker import AlpacaBroker, account_belongs
from ops.sandbox.bots.settings import read_settings
from ops.sandbox.bots.venue import NewOrder, VenueRefused, VenueUnknown

from .conftest import SECRET, Outside

QUICK = (1.0, 0.4)


def _order(price: str = "150.00", qty: str = "2") -> NewOrder:
    return NewOrder(f"a1-p-{uuid4().hex}", "AAPL", "buy", Decimal(qty), Decimal(price), "day", Decimal(150))


@pytest.fixture
def broker(outside: Outside, tmp_path: Path) -> AlpacaBroker:
    return AlpacaBroker(read_settings(outside.account_environ(tmp_path)), QUICK)


@pytest.fixture
def fault(outside: Outside) -> Iterator[Callable[..., None]]:
    switched: list[str] = []

    def switch(name: str, **parameters: object) -> None:
        switched.append(name)
        outside.admin("faults", environment="paper", fault=name, on=True, **parameters)

    yield switch
    for name in switched:
        outside.admin("faults", environment="paper", fault=name, on=False)


def test_readings_are_decimal_and_of_the_right_account(broker: AlpacaBroker) -> None:
    account = broker.account()
    assert account.number == "PA3SANDBOX01"
    assert isinstance(account.equity, Decimal)
    assert broker.market_open()
    quotes = broker.quotes(["AAPL", "MSFT"])
    assert set(quotes) == {"AAPL", "MSFT"}
    assert all(0 < quote.bid <= quote.ask for quote in quotes.values())


@pytest.mark.parametrize(
    ("number", "mode", "belongs"),
    [
        ("PA3X", "paper", True),
        ("PA3X", "live", False),
        ("912345678", "live", True),
        ("912345678", "paper", False),
        ("", "paper", False),
    ],
)
def test_which_account_numbers_belong_to_a_mode(number: str, mode: str, belongs: bool) -> None:
    assert account_belongs(number, mode) is belongs


def test_an_order_lives_and_dies(broker: AlpacaBroker) -> None:
    order = _order()
    sent = broker.submit(order)
    assert broker.find_order(order.client_order_id) == broker.order(sent.order_id)
    assert order.client_order_id in {seen.client_order_id for seen in broker.open_orders()}
    broker.cancel(sent.order_id)
    assert broker.order(sent.order_id).status in {"pending_cancel", "canceled"}


def test_fills_name_the_order_and_can_be_asked_for_from_a_moment(broker: AlpacaBroker) -> None:
    quote = broker.quotes(["AAPL"])["AAPL"]
    sent = broker.submit(_order(price=str(quote.ask + 1), qty="1.5"))
    assert broker.order(sent.order_id).status == "filled"
    fills = [fill for fill in broker.fills(None) if fill.order_id == sent.order_id]
    assert sum(fill.qty for fill in fills) == Decimal("1.5")
    assert fills[-1] in broker.fills(fills[-1].at)


def test_an_unknown_client_id_is_none_and_a_used_one_is_refused(broker: AlpacaBroker) -> None:
    assert broker.find_order("never sent") is None
    order = _order()
    broker.submit(order)
    with pytest.raises(VenueRefused, match="client_order_id must be unique"):
        broker.submit(order)


@pytest.mark.parametrize("order", [_order(qty="100000"), _order(price="0.01", qty="100000000")])
def test_a_venue_that_says_no_is_refused(broker: AlpacaBroker, order: NewOrder) -> None:
    with pytest.raises(VenueRefused, match="HTTP 4"):
        broker.submit(order)


def test_a_wrong_key_is_refused_without_showing_it(outside: Outside, tmp_path: Path) -> None:
    environ = outside.account_environ(tmp_path) | {"ALPACA_SECRET_KEY": SECRET}
    with pytest.raises(VenueRefused, match="HTTP 401") as refusal:
        AlpacaBroker(read_settings(environ), QUICK).account()
    assert SECRET not in f"{refusal.value!r} {refusal.getrepr(chain=True)}"


QUESTIONS: dict[str, Callable[[AlpacaBroker], object]] = {
    "account": lambda broker: broker.account(),
    "clock": lambda broker: broker.market_open(),
    "open orders": lambda broker: broker.open_orders(),
    "fills": lambda broker: broker.fills(None),
    "quotes": lambda broker: broker.quotes(["AAPL"]),
    "order by client id": lambda broker: broker.find_order("any"),
}
NO_ANSWERS = ["rate_limit", "server_error", "html_error", "empty_body", "maintenance"]
SPOILT = [("truncated_json", "account"), ("truncated_json", "open orders"), ("hang_before", "account")]


@pytest.mark.parametrize(("name", "question"), [*((name, q) for name in NO_ANSWERS for q in QUESTIONS), *SPOILT])
def test_no_answer_to_believe_is_unknown(
    broker: AlpacaBroker, fault: Callable[..., None], name: str, question: str
) -> None:
    broker.submit(_order())  # an empty list has nothing to cut off
    fault(name)
    with pytest.raises(VenueUnknown, match=question):
        QUESTIONS[question](broker)


@pytest.mark.parametrize("name", ["hang_after", "gateway_timeout_after", "truncated_json"])
def test_an_order_whose_answer_is_lost_was_sent_once(
    broker: AlpacaBroker, outside: Outside, fault: Callable[..., None], name: str
) -> None:
    order = _order()
    fault(name, methods=["POST"])
    with pytest.raises(VenueUnknown):
        broker.submit(order)
    found = broker.find_order(order.client_order_id)
    assert found is not None
    log = [line["event"] for line in outside.order_log() if line["client_order_id"] == order.client_order_id]
    assert log == ["accepted"]


def test_a_404_that_is_not_alpacas_proves_nothing(outside: Outside, tmp_path: Path) -> None:
    elsewhere = f"http://127.0.0.1:{outside.ports['slack']}"
    environ = outside.account_environ(tmp_path, ALPACA_BASE_URL=elsewhere)
    with pytest.raises(VenueUnknown):
        AlpacaBroker(read_settings(environ), QUICK).find_order("any")


def test_nobody_listening_is_unknown(tmp_path: Path, outside: Outside) -> None:
    environ = outside.account_environ(tmp_path, ALPACA_BASE_URL="http://127.0.0.1:9")
    with pytest.raises(VenueUnknown, match="ConnectionError"):
        AlpacaBroker(read_settings(environ), QUICK).account()
