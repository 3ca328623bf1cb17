"""What the gateway says: the fields of each message, in the order in which the clients unpack them (venues.md 6.6).

`version` is the server version agreed on in the handshake; some fields came or went with one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ops.sandbox.venues import calendar
from ops.sandbox.venues.cash import Position
from ops.sandbox.venues.ibkr import hours
from ops.sandbox.venues.ibkr.book import number_of
from ops.sandbox.venues.ibkr.orders import Fill, Order

UNSET = "1.7976931348623157E308"
"""How the gateway writes a number that is not set."""
TICK = Decimal("0.01")

Fields = Sequence[object]


@dataclass(frozen=True, slots=True)
class Contract:
    """A listed stock, as the gateway writes it."""

    con_id: int
    symbol: str

    def fields(self, exchange: str) -> Fields:
        """conId, symbol, secType, expiry, strike, right, multiplier, exchange, currency, localSymbol, tradingClass."""
        return (self.con_id, self.symbol, "STK", "", 0, "", "", exchange, "USD", self.symbol, "NMS")


@dataclass(frozen=True, slots=True)
class Margins:
    """The answer to a what-if order: USD before, by and after it."""

    before: Decimal
    change: Decimal

    def fields(self) -> Fields:
        """Initial margin, maintenance margin, equity with loan: before, change, after; then the commission."""
        nothing = Decimal(0)
        before, change = (nothing, nothing, self.before), (self.change, self.change, nothing)
        after = (self.change, self.change, self.before)
        return (*before, *change, *after, nothing, "", "", "USD", "")


NO_MARGINS: Fields = (*[UNSET] * 9, "", "", "", "", "")


def contract_of(symbol: str) -> Contract:
    return Contract(1000 + number_of("contract", symbol), symbol)


def error(request: int, code: int, message: str) -> Fields:
    return (4, 2, request, code, message, "")


def open_order(
    order: Order, version: int, number: str, status: str, order_id: int, margins: Margins | None = None
) -> Fields:
    """Message 5; `margins` makes it the answer to a what-if (venues.md 6.7)."""
    client = 0 if order.by_hand else order.client_id
    return (
        *(5, order_id, *contract_of(order.symbol).fields("SMART"), order.side.upper(), order.qty, order.type),
        *(order.limit_price, order.stop_price, order.tif, "", number, "O", 0, order.order_ref, client, order.perm_id),
        *(False, False, 0, "", "", "", "", ""),  # outsideRth ... faPercentage
        *(("",) if version < 177 else ()),  # faProfile
        *("", "", "", "", "", 0, "", -1, 0, "", "", "", "", "", 0),  # modelCode ... displaySize
        *(False, False, False, "", 3, False, False, "", 0, 0, "", 0, "", ""),  # blockOrder ... deltaNeutralAuxPrice
        *(False, 0, "", "", "", "", "", 0, 0, 0, "", "", "", ""),  # continuousUpdate ... hedgeType
        *(False, "", "IB", False, False, "", False, margins is not None, status),  # optOutSmartRouting ... status
        *(margins.fields() if margins is not None else NO_MARGINS),
        *(False, False, 0, "None", "", "", "", "", "", "", 0),  # randomizeSize ... adjustableTrailingUnit
        *("", "", "", "", False, False, False, ""),  # soft dollars ... usePriceMgmtAlgo
        *("", "", "", "", "", "", "", ""),  # duration ... midOffsetAtHalf
    )


def completed_order(order: Order, version: int, number: str) -> Fields:
    """Message 101: neither order id nor client id; permId and orderRef say which it was (venues.md 6.8)."""
    ended = (order.ended_at or order.submitted_at).astimezone(calendar.NEW_YORK)
    said = f"Filled Size: {order.filled:f}" if order.status == "Filled" else "Cancelled by Trader"
    return (
        *(101, *contract_of(order.symbol).fields("SMART"), order.side.upper(), order.qty, order.type),
        *(order.limit_price, order.stop_price, order.tif, "", number, "O", 0, order.order_ref, order.perm_id),
        *(False, False, 0, "", "", "", ""),  # outsideRth ... faPercentage
        *(("",) if version < 177 else ()),  # faProfile
        *("", "", "", "", "", 0, "", -1, "", "", "", "", "", 0),  # modelCode ... displaySize
        *(False, False, "", 3, 0, "", 0, "", ""),  # sweepToFill ... deltaNeutralAuxPrice
        *(False, 0, "", "", "", 0, 0, 0, "", "", "", ""),  # continuousUpdate ... hedgeType
        *("", "IB", False, False, "", False, order.status, False, False, 0),  # clearingAccount ... conditions
        *(
            "",
            "",
            "",
            False,
            False,
            "",
            order.filled,
            "",
            False,
            "",
            False,
            False,
            0,
        ),  # trailStopPrice ... parentPermId
        *(f"{ended:%Y%m%d %H:%M:%S} {hours.ZONE}", said, "", "", "", "", ""),
    )


def order_status(order: Order, status: str, filled: Decimal) -> Fields:
    client, order_id = (0, 0) if order.by_hand else (order.client_id, order.order_id)
    paid = (order.average_price, order.perm_id, 0, order.last_price or 0, client)
    return (3, order_id, status, filled, order.qty - filled, *paid, "", 0)


def execution(request: int, fill: Fill, order: Order, version: int, number: str) -> Fields:
    """Message 11; `request` is -1 for a live one. The number of fields is exact (venues.md 6.6)."""
    client, order_id = (0, 0) if order.by_hand else (order.client_id, order.order_id)
    at = f"{fill.at.astimezone(calendar.NEW_YORK):%Y%m%d %H:%M:%S} {hours.ZONE}"
    side = "BOT" if fill.side == "buy" else "SLD"
    return (
        *(11, request, order_id, *contract_of(fill.symbol).fields("ISLAND"), fill.exec_id, at, number, "ISLAND", side),
        *(fill.qty, fill.price, fill.perm_id, client, 0, fill.cum_qty, fill.average_price, order.order_ref),
        *("", "", "", 1, *((False,) if version >= 178 else ())),
    )


def commission(fill: Fill) -> Fields:
    return (59, 1, fill.exec_id, 0, "USD", UNSET, UNSET, "")


def position(held: Position, number: str) -> Fields:
    contract = contract_of(held.symbol).fields("")
    return (61, 3, number, *contract, held.qty, held.average_cost if held.qty else 0)


def portfolio(held: Position, price: Decimal, number: str) -> Fields:
    """Message 7."""
    contract, value = contract_of(held.symbol).fields("NASDAQ"), price * held.qty
    cost = held.average_cost if held.qty else 0
    return (7, 8, *contract, held.qty, price, value, cost, value - held.cost, 0, number)


def contract_details(request: int, symbol: str, trading_hours: str, liquid_hours: str) -> Fields:
    """Message 10 from version 164 on."""
    name = f"{symbol} INC"
    return (
        *(10, request, symbol, "STK", "", 0, "", "SMART", "USD", symbol, "NMS", "NMS"),
        *(contract_of(symbol).con_id, TICK, "", "LMT,MKT,STP,WHATIF", "SMART,NASDAQ", 1, 0, name, "NASDAQ"),
        *("", "", "", "", hours.ZONE, trading_hours, liquid_hours, "", 0, 0),
        *(1, "", "", "26", "", "COMMON", 1, 1, 100),
    )


def ticks(request: int, bid: Decimal, ask: Decimal) -> Sequence[Fields]:
    """Bid, ask and last; price and size together."""
    prices = ((1, bid), (2, ask), (4, bid))
    return [(1, 6, request, kind, price, 100, 0) for kind, price in prices]


def unix_seconds(at: datetime) -> int:
    return int(at.timestamp())
