"""What is asked of an IBKR gateway, and its answers in our shapes. Each question asks anew: nothing is remembered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ops.errors import VenueError
from ops.venues.ibkr.hours import listed
from ops.venues.ibkr.line import Talk
from ops.venues.protocol import FillView, OrderView, Window

CLOSED = frozenset({"Filled", "Cancelled", "ApiCancelled"})
EXECUTED = "Executed"
"""Our word for an order of which only executions are shown: it is not open, and how it ended is not said."""
PROTECTIVE = frozenset({"STP", "STP LMT", "TRAIL", "TRAIL LIMIT"})
SUBMITTED_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
"""IBKR shows no time of submission. So old that no order passes for too young to be asked about."""
REFERENCE = "SPY"
"""The stock whose liquid hours stand for those of US stocks."""
TAGS = ("NetLiquidation", "TotalCashValue", "PreviousDayEquityWithLoanValue")


async def open_trades(talk: Talk) -> list[Any]:
    """Every open order, once: an order that changes while the list is sent may come twice."""
    trades = {trade.order.permId: trade for trade in await talk.answer(talk.ib.reqAllOpenOrdersAsync())}
    if 0 in trades:
        raise VenueError("IBKR lists an order without a permId")
    return [trade for trade in trades.values() if trade.orderStatus.status not in CLOSED]


async def executions(talk: Talk) -> list[Any]:
    """Each execution in its latest correction: the digits after the last dot of its id count those (IBKR docs)."""
    latest: dict[str, Any] = {}
    for fill in await talk.answer(talk.ib.reqExecutionsAsync()):
        name, _, version = fill.execution.execId.rpartition(".")
        if name not in latest or version >= latest[name].execution.execId.rpartition(".")[2]:
            latest[name] = fill
    return list(latest.values())


def of_client(client_id: str) -> Callable[[Any], bool]:
    if not client_id:
        raise VenueError("orders without a client id cannot be told apart")
    return lambda order: bool(order.orderRef == client_id)


async def find(talk: Talk, wanted: Callable[[Any], bool]) -> OrderView | None:
    """Among the open orders first, then among the closed: one that ends in between is found all the same."""
    for asked in (open_trades, _ended_trades):
        for trade in await asked(talk):
            if wanted(trade.order):
                return order_view(trade)
    fills = [fill for fill in await executions(talk) if wanted(fill.execution)]
    return _executed(fills) if fills else None


async def _ended_trades(talk: Talk) -> list[Any]:
    trades: list[Any] = await talk.answer(talk.ib.reqCompletedOrdersAsync(False))
    return trades


async def summary(talk: Talk, number: str) -> list[Any]:
    """The rows of TAGS, in that order, None for one that did not come; asked for and given up again."""
    rows: dict[str, Any] = {}

    def note(row: Any) -> None:
        if row.account == number:
            rows[row.tag] = row

    client = talk.ib.client
    talk.ib.accountSummaryEvent += note
    request = client.getReqId()
    answered = talk.ib.wrapper.startReq(request)
    client.reqAccountSummary(request, "All", ",".join(TAGS))
    await talk.answer(answered)
    talk.ib.accountSummaryEvent -= note
    client.cancelAccountSummary(request)
    return [rows.get(tag) for tag in TAGS]


async def held_quantities(talk: Talk, number: str) -> dict[str, Decimal]:
    """Symbol -> signed quantity; given up again, lest updates mix into the next list."""
    rows = [row for row in await talk.answer(talk.ib.reqPositionsAsync()) if row.account == number]
    talk.ib.client.cancelPositions()
    held = {_symbol(row.contract): Decimal(str(row.position)) for row in rows}
    return {symbol: qty for symbol, qty in held.items() if qty}


async def portfolio(talk: Talk, number: str) -> dict[str, tuple[Decimal, Decimal]]:
    """Symbol -> (signed quantity, market value in USD), from the account's updates."""
    rows: dict[str, tuple[Decimal, Decimal]] = {}

    foreign: set[str] = set()

    def note(row: Any) -> None:
        foreign.update({row.contract.currency} - {"USD"})
        rows[_symbol(row.contract)] = (Decimal(str(row.position)), Decimal(str(row.marketValue)))

    talk.ib.updatePortfolioEvent += note
    await talk.answer(talk.ib.reqAccountUpdatesAsync(number))
    talk.ib.updatePortfolioEvent -= note
    talk.ib.client.reqAccountUpdates(False, number)
    if foreign:
        raise VenueError(f"positions are valued in {', '.join(sorted(foreign))}, not in USD")
    return {symbol: row for symbol, row in rows.items() if row[0]}


async def hours(talk: Talk) -> tuple[list[Window], datetime]:
    """What the reference stock's details list, and IBKR's time."""
    details = await talk.ib.reqContractDetailsAsync(talk.library.Stock(REFERENCE, "SMART", "USD"))
    if len(details) != 1:
        raise VenueError(f"IBKR knows {len(details)} stocks {REFERENCE}")
    now: datetime = await talk.ib.reqCurrentTimeAsync()
    return listed(details[0].liquidHours, details[0].timeZoneId), now


def order_view(trade: Any) -> OrderView:
    order, status = trade.order, str(trade.orderStatus.status)
    filled = getattr(order, "filledQuantity", 0)
    total = max(Decimal(str(order.totalQuantity)), Decimal(str(filled)) if 0 < filled < 1e9 else Decimal(0))
    return OrderView(
        str(order.permId), order.orderRef, _symbol(trade.contract), order.action.lower(), total, status,
        SUBMITTED_UNKNOWN, status not in CLOSED, order.orderType in PROTECTIVE,
    )  # fmt: skip


def _executed(fills: Sequence[Any]) -> OrderView:
    one, qty = fills[0].execution, sum((Decimal(str(fill.execution.shares)) for fill in fills), Decimal(0))
    return OrderView(
        str(one.permId), one.orderRef, _symbol(fills[0].contract), _side(one.side), qty, EXECUTED,
        SUBMITTED_UNKNOWN, open=False,
    )  # fmt: skip


def fill_view(fill: Any) -> FillView:
    one = fill.execution
    return FillView(
        one.execId, str(one.permId), _symbol(fill.contract), _side(one.side), Decimal(str(one.shares)),
        Decimal(str(one.price)), one.time,
    )  # fmt: skip


def _side(word: str) -> str:
    return {"BOT": "buy", "SLD": "sell"}[word]


def _symbol(contract: Any) -> str:
    return str(contract.symbol if contract.secType == "STK" else contract.localSymbol or contract.symbol)


def usd(row: Any) -> Decimal | None:
    if row is None:
        return None
    if row.currency != "USD":
        raise VenueError(f"IBKR values the account in {row.currency or 'no currency'}, not in USD")
    return Decimal(row.value)
