"""What each request of the protocol is answered with (venues.md 6.4 and 6.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from ops.sandbox.venues import calendar
from ops.sandbox.venues.ibkr import hours, messages
from ops.sandbox.venues.ibkr.messages import Margins
from ops.sandbox.venues.ibkr.orders import Fill, Order
from ops.sandbox.venues.ibkr.refusals import Refusal, invalid, no_contract, read_only, rejected
from ops.sandbox.venues.ibkr.tickets import claimed, sent, stock
from ops.sandbox.venues.marks import Mark

if TYPE_CHECKING:
    from ops.sandbox.venues.ibkr.gateway import IbkrGateway
    from ops.sandbox.venues.ibkr.session import Session

STALE_LAG_SECONDS = 5
SUMMARIES_MAX = 2
"""Account summaries that one client may have running (error 322)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `fields` begin with the message id; `at` is venue time."""

    gateway: IbkrGateway
    session: Session
    fields: Sequence[str]
    at: datetime

    def send(self, *fields: object) -> None:
        self.session.send(fields)

    def on(self, fault: str, method: str = "GET", path: str = "") -> bool:
        return self.gateway.faults.strikes(fault, self.gateway.environment, method, path)


@dataclass(frozen=True, slots=True)
class Request:
    """`id_at`: where in the message its own id stands, by which a refusal names it; 0 where it has none."""

    name: str
    method: str
    answer: Callable[[Call], None]
    id_at: int = 0

    @property
    def changes(self) -> bool:
        return self.method != "GET"

    def id_in(self, fields: Sequence[str]) -> int:
        given = fields[self.id_at] if 0 < self.id_at < len(fields) else ""
        return int(given) if given.isdigit() else -1


# orders


def place_order(call: Call) -> None:
    """A new order, a what-if, or a change of an order that this client sent before."""
    gateway, book = call.gateway, call.gateway.book
    client_id = call.session.client_id or 0
    try:
        if gateway.faults.is_on("read_only", gateway.environment):
            raise read_only()
        wish = sent(call.fields, call.session.version, gateway.number, book.market.asset_ids)
        if call.on("cancel_only", "POST", "/placeOrder"):
            raise rejected("new orders are not taken at the moment")
    except Refusal as refusal:
        book.log_refused(claimed(call.fields), client_id, refusal.message, call.at)
        raise
    known = book.by_client.get((client_id, wish.order_id))
    if wish.what_if:
        _preview(call, wish.order_id)
    elif known is not None:
        book.modify(known, wish.ticket, call.at)
    else:
        order = book.submit(wish.ticket, client_id, wish.order_id, call.at)
        if not book.market.is_open(call.at):
            opens = book.market.next_open(call.at).astimezone(calendar.NEW_YORK)
            text = (
                f"Order Message:\nWarning: your order will not be placed at the exchange until {opens:%Y-%m-%d %H:%M}"
            )
            call.session.send(messages.error(order.order_id, 399, text))


def _preview(call: Call, order_id: int) -> None:
    """What the order would do to the account; nothing is placed."""
    book = call.gateway.book
    wish = sent(call.fields, call.session.version, call.gateway.number, book.market.asset_ids).ticket
    book.admit(wish, call.at)
    price = wish.limit_price or book.market.quote(wish.symbol, call.at).ask
    order = Order(
        0, call.session.client_id or 0, order_id, wish.symbol, wish.side, wish.qty, wish.type, wish.tif,
        wish.limit_price, wish.stop_price, price, wish.order_ref, call.at, call.at, "PreSubmitted",
    )  # fmt: skip
    margins = Margins(book.equity(call.at), price * wish.qty)
    call.session.send(
        messages.open_order(order, call.session.version, call.gateway.number, order.status, order_id, margins)
    )


def cancel_order(call: Call) -> None:
    _require_writable(call)
    call.gateway.book.cancel(call.session.client_id or 0, int(call.fields[2]), call.at)


def global_cancel(call: Call) -> None:
    """No answer of its own; each owner hears of each order."""
    _require_writable(call)
    call.gateway.book.cancel_all(call.at)


def _require_writable(call: Call) -> None:
    if call.gateway.faults.is_on("read_only", call.gateway.environment):
        raise read_only()


def own_open_orders(call: Call) -> None:
    """This client's; client 0 sees the manual ones too."""
    own = call.session.client_id
    orders = call.gateway.book.open.values()
    _list_open(call, [order for order in orders if order.client_id == own or (own == 0 and order.by_hand)])


def all_open_orders(call: Call) -> None:
    """Every client's and the manual ones; two faults of lists bite here."""
    book = call.gateway.book
    if call.on("stale_orders", path="/reqAllOpenOrders"):
        given = call.gateway.faults.active.get((call.gateway.environment, "stale_orders"), {})
        then = call.at - timedelta(seconds=given.get("lag_seconds", STALE_LAG_SECONDS))
        _list_then(call, then)
        return
    orders = list(book.open.values())
    if call.on("hidden_pages", path="/reqAllOpenOrders"):
        orders = orders[: len(orders) // 3]
    _list_open(call, orders)


def _list_open(call: Call, orders: Sequence[Order]) -> None:
    for order in sorted(orders, key=lambda order: order.perm_id):
        _show(call, order, Mark(call.at, order.status, order.filled))
    call.send(53, 1)


def _list_then(call: Call, then: datetime) -> None:
    for order in sorted(call.gateway.book.orders.values(), key=lambda order: order.perm_id):
        mark = order.seen_at(then)
        if mark is not None and mark.status not in ("Filled", "Cancelled"):
            _show(call, order, mark)
    call.send(53, 1)


def _show(call: Call, order: Order, mark: Mark) -> None:
    version, number = call.session.version, call.gateway.number
    shown_id = 0 if order.by_hand else order.order_id
    call.session.send(messages.open_order(order, version, number, mark.status, shown_id))
    call.session.send(messages.order_status(order, mark.status, mark.filled))


def completed_orders(call: Call) -> None:
    """Those that ended today; `apiOnly` leaves manual ones out."""
    api_only, begins = call.fields[1] == "1", _day_begins(call.at)
    for order in call.gateway.book.orders.values():
        today = order.ended_at is not None and order.ended_at >= begins
        if today and not (api_only and order.by_hand):
            call.session.send(messages.completed_order(order, call.session.version, call.gateway.number))
    call.send(102)


def bind_manual_orders(call: Call) -> None:
    """Only client 0 may; manual orders become its own then."""
    if call.session.client_id != 0:
        raise invalid("Only the default client (i.e 0) can auto bind orders.")
    call.session.binds_manual_orders = call.fields[2] == "1"
    for order in [order for order in call.gateway.book.open.values() if order.by_hand]:
        call.gateway.book.bind(order)
        _show(call, order, Mark(call.at, order.status, order.filled))


def executions(call: Call) -> None:
    """Filtered by client, time, symbol and side. A TWS shows as many days as its trade log is set to; here all."""
    request, client, _, since, symbol, _, _, side = (*call.fields[2:], *[""] * 8)[:8]
    begins = _filter_time(since)
    if call.on("todays_fills_only", path="/reqExecutions"):
        begins = max(begins, _day_begins(call.at))
    for fill in _fills_from(call, begins):
        order = call.gateway.book.orders[str(fill.perm_id)]
        wanted = client in ("", "0", str(order.client_id)) and symbol in ("", fill.symbol)
        if wanted and side in ("", fill.side.upper()):
            version, number = call.session.version, call.gateway.number
            call.session.send(messages.execution(int(request), fill, order, version, number))
            call.session.send(messages.commission(fill))
    call.send(55, 1, int(request))


def _fills_from(call: Call, begins: datetime) -> Iterator[Fill]:
    return (fill for fill in call.gateway.book.fills if fill.at.replace(microsecond=0) >= begins)


def _filter_time(since: str) -> datetime:
    """`20261120-17:00:00` is UTC, `20261120 12:00:00` the gateway's own time. Raises ValueError for another form."""
    if not since:
        return datetime.min.replace(tzinfo=UTC)
    if "-" in since:
        return datetime.strptime(since, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
    return datetime.strptime(since[:17], "%Y%m%d %H:%M:%S").replace(tzinfo=calendar.NEW_YORK)


def _day_begins(at: datetime) -> datetime:
    return at.astimezone(calendar.NEW_YORK).replace(hour=0, minute=0, second=0, microsecond=0)


# the account


def managed_accounts(call: Call) -> None:
    call.send(15, 1, call.gateway.number)


def next_id(call: Call) -> None:
    call.send(9, 1, call.gateway.book.next_id(call.session.client_id or 0))


def current_time(call: Call) -> None:
    call.send(49, 1, messages.unix_seconds(call.at))


def positions(call: Call) -> None:
    """Those of now, and changes until cancelled."""
    call.session.watches_positions = True
    for held in call.gateway.book.account.positions.values():
        call.session.send(messages.position(held, call.gateway.number))
    call.send(62, 1)


def cancel_positions(call: Call) -> None:
    call.session.watches_positions = False


def account_updates(call: Call) -> None:
    """Values, then the portfolio, then the end; again only after the subscription was given up."""
    subscribe, asked = call.fields[2] == "1", call.fields[3]
    if asked not in ("", call.gateway.number):
        raise Refusal(321, "Error validating request.-'bN' : cause - Invalid account code")
    if not subscribe or call.session.watches_account:
        call.session.watches_account = subscribe
        return
    call.session.watches_account = True
    book, number = call.gateway.book, call.gateway.number
    for tag, value in values(call).items():
        call.send(6, 2, tag, value, "USD" if isinstance(value, Decimal) else "", number)
    for held in book.account.positions.values():
        price = book.market.mid(held.symbol, call.at).quantize(messages.TICK)
        call.session.send(messages.portfolio(held, price, number))
    call.send(8, 1, f"{call.at.astimezone(calendar.NEW_YORK):%H:%M}")
    call.send(54, 1, number)


def account_updates_multi(call: Call) -> None:
    request, asked = int(call.fields[2]), call.fields[3]
    if asked not in ("", call.gateway.number):
        raise invalid("Invalid account code")
    for tag, value in values(call).items():
        call.send(73, 1, request, call.gateway.number, "", tag, value, "USD" if isinstance(value, Decimal) else "")
    call.send(74, 1, request)


def account_summary(call: Call) -> None:
    request, group, tags = int(call.fields[2]), call.fields[3], tuple(call.fields[4].split(","))
    if group != "All":
        raise invalid("Invalid account group")
    if len(call.session.summaries) >= SUMMARIES_MAX:
        raise Refusal(
            322, "Error processing request.-'bN' : cause - Maximum number of account summary requests exceeded"
        )
    call.session.summaries[request] = tags
    for tag, value in values(call).items():
        if tag in tags:
            call.send(63, 1, request, call.gateway.number, tag, value, "USD" if isinstance(value, Decimal) else "")
    call.send(64, 1, request)


def cancel_summary(call: Call) -> None:
    call.session.summaries.pop(int(call.fields[2]), None)


def values(call: Call) -> dict[str, Decimal | str]:
    """The account's values by tag; money in USD, exact to the cent."""
    book = call.gateway.book
    account, worth = book.account, book.position_value(call.at)
    money = {
        "NetLiquidation": account.cash + worth,
        "TotalCashValue": account.cash,
        "SettledCash": account.cash,
        "BuyingPower": book.free_cash(),
        "AvailableFunds": book.free_cash(),
        "EquityWithLoanValue": account.cash + worth,
        "PreviousDayEquityWithLoanValue": account.last_equity,
        "GrossPositionValue": worth,
    }
    texts = {"AccountCode": call.gateway.number, "AccountReady": "true", "AccountType": "INDIVIDUAL"}
    return {**texts, **{tag: value.quantize(messages.TICK) for tag, value in money.items()}}


# the market


def contract_details(call: Call) -> None:
    request, market = int(call.fields[2]), call.gateway.book.market
    symbol = stock(call.fields[3:15], market.asset_ids)
    trading, liquid = hours.trading(market, call.at), hours.liquid(market, call.at)
    call.session.send(messages.contract_details(request, symbol, trading, liquid))
    call.send(52, 1, request)


def market_data(call: Call) -> None:
    """A snapshot ends by itself; a stream goes on until cancelled."""
    if call.fields[5] == "BAG":
        raise no_contract()
    request, market = int(call.fields[2]), call.gateway.book.market
    symbol = stock(call.fields[3:15], market.asset_ids)
    quote = market.quote(symbol, call.at)
    call.send(58, 1, request, 1)
    for tick in messages.ticks(request, quote.bid, quote.ask):
        call.session.send(tick)
    if call.fields[17] == "1":
        call.send(57, 1, request)
    else:
        call.session.tickers[request] = (symbol, (quote.bid, quote.ask))


def cancel_market_data(call: Call) -> None:
    call.session.tickers.pop(int(call.fields[2]), None)


def no_history(_: Call) -> None:
    raise Refusal(162, "Historical Market Data Service error message:HMDS query returned no data")


def nothing(_: Call) -> None:
    """Taken note of, never answered."""


REQUESTS: dict[str, Request] = {
    "1": Request("reqMktData", "GET", market_data, 2),
    "2": Request("cancelMktData", "GET", cancel_market_data),
    "3": Request("placeOrder", "POST", place_order, 1),
    "4": Request("cancelOrder", "DELETE", cancel_order, 2),
    "5": Request("reqOpenOrders", "GET", own_open_orders),
    "6": Request("reqAccountUpdates", "GET", account_updates),
    "7": Request("reqExecutions", "GET", executions, 2),
    "8": Request("reqIds", "GET", next_id),
    "9": Request("reqContractDetails", "GET", contract_details, 2),
    "15": Request("reqAutoOpenOrders", "GET", bind_manual_orders),
    "16": Request("reqAllOpenOrders", "GET", all_open_orders),
    "17": Request("reqManagedAccts", "GET", managed_accounts),
    "20": Request("reqHistoricalData", "GET", no_history, 1),
    "49": Request("reqCurrentTime", "GET", current_time),
    "58": Request("reqGlobalCancel", "DELETE", global_cancel),
    "59": Request("reqMarketDataType", "GET", nothing),
    "61": Request("reqPositions", "GET", positions),
    "62": Request("reqAccountSummary", "GET", account_summary, 2),
    "63": Request("cancelAccountSummary", "GET", cancel_summary),
    "64": Request("cancelPositions", "GET", cancel_positions),
    "76": Request("reqAccountUpdatesMulti", "GET", account_updates_multi, 2),
    "77": Request("cancelAccountUpdatesMulti", "GET", nothing),
    "99": Request("reqCompletedOrders", "GET", completed_orders),
}
"""By message id. `method` says for the faults what it is: GET reads, POST places, DELETE cancels."""
