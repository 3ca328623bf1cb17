"""The door to Interactive Brokers: ib_async (or ib_insync) behind the port of `venue`.

An order's id is its permId, its client order id travels as orderRef. There are no credentials; account ids that begin
with D are paper accounts. Floats exist only inside the library: prices and sizes go through it as Decimal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ..venue import Access, Account, Grid, NewOrder, Quote, VenueFill, VenueOrder, VenueRefused, VenueUnknown
from .ibkr_line import Line, Talk

TIMEOUT_SECONDS = 10.0
REFERENCE = "SPY"
"""The stock whose liquid hours say whether the market is open."""

_DIGEST = 24
_OVERLAP = timedelta(seconds=60)
_LOOK_BACK = timedelta(days=1)
"""An order that ended today is listed as completed; one of last night only by its executions."""
_EQUITY, _LAST_EQUITY = "NetLiquidation", "PreviousDayEquityWithLoanValue"
_WORDS = {
    "Filled": "filled",
    "Cancelled": "canceled",
    "ApiCancelled": "canceled",
    "PendingCancel": "pending_cancel",
    "PreSubmitted": "accepted",
    "Submitted": "new",
}
"""The venue's words in the bot's; any other could still trade."""
_CLOSED = ("filled", "canceled")


class IbkrBroker:
    """`venue.Venue` for one account behind a TWS or Gateway at `tcp://host:port`."""

    def __init__(self, access: Access, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._told = access.account
        self._line = Line(access.endpoint, timeout_seconds)
        self._known: dict[str, Any] = {}

    def market_open(self) -> bool:
        return self._line.ask(_market_open)

    def account(self) -> Account:
        return self._line.ask(self._account)

    async def _account(self, talk: Talk) -> Account:
        number = self._number(talk)
        rows: dict[tuple[str, str], Any] = {}

        def note(row: Any) -> None:
            rows[row.account, row.tag] = row

        talk.ib.accountSummaryEvent += note
        request = talk.client.getReqId()
        answered = talk.ib.wrapper.startReq(request)
        talk.client.reqAccountSummary(request, "All", f"{_EQUITY},{_LAST_EQUITY}")
        await answered
        talk.ib.accountSummaryEvent -= note
        talk.client.cancelAccountSummary(request)
        equity, last = rows[number, _EQUITY], rows[number, _LAST_EQUITY]
        if {equity.currency, last.currency} != {"USD"}:
            raise VenueUnknown("the account is not valued in USD")
        return Account(number, Decimal(equity.value), Decimal(last.value))

    def _number(self, talk: Talk) -> str:
        managed = talk.client.getAccounts()
        return self._told if self._told in managed else str(managed[0])

    def belongs_to(self, account_number: str, mode: str) -> bool:
        """Paper accounts, and only those, begin with D; an account that the bot was not told is not its own."""
        return account_number.startswith("D") == (mode == "paper") and self._told in ("", account_number)

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        async def ask(talk: Talk) -> dict[str, Quote]:
            contracts = [(await self._details(talk, symbol)).contract for symbol in symbols]
            talk.ib.wrapper.tickers.clear()  # else a price that does not come would be the one of the last time
            tickers = await talk.ib.reqTickersAsync(*contracts)
            seen = {t.contract.symbol: (_decimal(t.bid), _decimal(t.ask)) for t in tickers if t.hasBidAsk()}
            return {symbol: Quote(bid, ask) for symbol, (bid, ask) in seen.items() if 0 < bid <= ask}

        return self._line.ask(ask)

    def grid(self, symbol: str) -> Grid:
        async def ask(talk: Talk) -> Grid:
            details = await self._details(talk, symbol)
            return Grid(_decimal(details.minTick), _decimal(details.sizeIncrement or 1))

        return self._line.ask(ask)

    async def _details(self, talk: Talk, symbol: str) -> Any:
        """What IBKR says of a stock; asked for once. ib_async takes no quote for one whose number it was not told."""
        if symbol not in self._known:
            self._known[symbol] = await _details(talk, symbol)
        return self._known[symbol]

    def client_id(self, prefix: str, digest: str) -> str:
        """orderRef is free text; this keeps it short."""
        return f"{prefix}{digest[:_DIGEST]}"

    def open_orders(self) -> list[VenueOrder]:
        async def ask(talk: Talk) -> list[VenueOrder]:
            return [_order(trade) for trade in await _open(talk)]

        return self._line.ask(ask)

    def order(self, order_id: str) -> VenueOrder:
        found = self._find(lambda order: str(order.permId) == order_id)
        if found is None:
            raise VenueRefused(f"no such order: {order_id}")
        return found

    def find_order(self, client_order_id: str) -> VenueOrder | None:
        return self._find(lambda order: bool(order.orderRef == client_order_id))

    def _find(self, wanted: Callable[[Any], bool]) -> VenueOrder | None:
        """Open orders first, then those that ended today, then executions: none is lost that ends in between."""

        async def ask(talk: Talk) -> VenueOrder | None:
            for asked in (_open, _ended):
                for trade in await asked(talk):
                    if wanted(trade.order):
                        return _order(trade)
            since = _stamp(await talk.ib.reqCurrentTimeAsync() - _LOOK_BACK)
            executed = await talk.ib.reqExecutionsAsync(talk.library.ExecutionFilter(time=since))
            fills = [fill for fill in executed if wanted(fill.execution)]
            return _executed(fills) if fills else None

        return self._line.ask(ask)

    def submit(self, order: NewOrder) -> VenueOrder:
        """Sent once. Returns when IBKR has given it an id of its own."""

        async def ask(talk: Talk) -> VenueOrder:
            sent = talk.library.LimitOrder(
                order.side.upper(),
                _plain(order.qty),
                _plain(order.limit_price),
                tif=order.time_in_force.upper(),
                orderRef=order.client_order_id,
                account=self._number(talk),
            )
            trade = talk.ib.placeOrder(_stock(talk, order.symbol), sent)
            while not (trade.order.permId and trade.orderStatus.permId):
                talk.news.clear()
                await talk.news.wait()
            return _order(trade)

        return self._line.ask(ask)

    def cancel(self, order_id: str) -> None:
        """Only the client that sent an order may cancel it: it is asked for in that client's name."""

        async def ask(talk: Talk) -> tuple[int, int] | None:
            mine = [trade.order for trade in await _open(talk) if str(trade.order.permId) == order_id]
            if not mine or mine[0].orderId <= 0:
                raise VenueRefused(f"order {order_id} " + ("was typed in by hand" if mine else "is not open"))
            if mine[0].clientId != talk.client_id:
                return mine[0].clientId, mine[0].orderId
            talk.client.cancelOrder(mine[0].orderId, "")
            await talk.ib.reqCurrentTimeAsync()  # when this is answered, the cancel has been heard
            return None

        async def cancel(talk: Talk) -> None:
            talk.client.cancelOrder(number, "")

        owner = self._line.ask(ask)
        if owner is not None:
            client_id, number = owner
            self._line.ask_as(client_id, cancel)

    def fills(self, after: datetime | None) -> list[VenueFill]:
        """To the second; the overlap is for that and for executions that are booked late."""
        since = "" if after is None else _stamp(after - _OVERLAP)

        async def ask(talk: Talk) -> list[VenueFill]:
            wanted = talk.library.ExecutionFilter(acctCode=self._number(talk), time=since)
            return [_fill(fill) for fill in await talk.ib.reqExecutionsAsync(wanted)]

        return sorted(self._line.ask(ask), key=lambda fill: (fill.at, fill.fill_id))


async def _market_open(talk: Talk) -> bool:
    details = await _details(talk, REFERENCE)
    now, zone = await talk.ib.reqCurrentTimeAsync(), ZoneInfo(details.timeZoneId)
    spans = [entry.split("-") for entry in details.liquidHours.split(";") if "-" in entry]
    return any(_instant(opens, zone) <= now < _instant(closes, zone) for opens, closes in spans)


def _instant(text: str, zone: ZoneInfo) -> datetime:
    """`20261120:0930`, as a contract's hours are written."""
    return datetime.strptime(text, "%Y%m%d:%H%M").replace(tzinfo=zone)


def _stamp(at: datetime) -> str:
    """An instant as a filter of executions takes it, in UTC."""
    return f"{at.astimezone(UTC):%Y%m%d-%H:%M:%S}"


async def _details(talk: Talk, symbol: str) -> Any:
    (details,) = await talk.ib.reqContractDetailsAsync(_stock(talk, symbol))
    return details


async def _open(talk: Talk) -> list[Any]:
    """Of all clients, each once."""
    trades = {trade.order.permId: trade for trade in await talk.ib.reqAllOpenOrdersAsync()}
    return [trade for trade in trades.values() if _word(trade) not in _CLOSED]


async def _ended(talk: Talk) -> list[Any]:
    trades: list[Any] = await talk.ib.reqCompletedOrdersAsync(False)
    return trades


def _stock(talk: Talk, symbol: str) -> Any:
    return talk.library.Stock(symbol, "SMART", "USD")


def _word(trade: Any) -> str:
    status = trade.orderStatus
    word = _WORDS.get(status.status, "accepted")
    return "partially_filled" if word in ("new", "accepted") and status.filled > 0 else word


def _order(trade: Any) -> VenueOrder:
    order, symbol = trade.order, trade.contract.symbol
    return VenueOrder(
        str(order.permId), order.orderRef, symbol, order.action.lower(), _decimal(order.totalQuantity), _word(trade)
    )


def _executed(fills: Sequence[Any]) -> VenueOrder:
    one, qty = fills[0].execution, sum((_decimal(fill.execution.shares) for fill in fills), Decimal(0))
    return VenueOrder(str(one.permId), one.orderRef, fills[0].contract.symbol, _side(one.side), qty, "filled")


def _fill(fill: Any) -> VenueFill:
    one, symbol = fill.execution, fill.contract.symbol
    qty, price = _decimal(one.shares), _decimal(one.price)
    return VenueFill(one.execId, str(one.permId), symbol, _side(one.side), qty, price, one.time)


def _side(word: str) -> str:
    return {"BOT": "buy", "SLD": "sell"}[word]


def _decimal(value: object) -> Decimal:
    number = Decimal(str(value))
    return Decimal(format(number.normalize(), "f"))


def _plain(number: Decimal) -> Decimal:
    """Without an exponent: the library writes what `str` says."""
    return Decimal(format(number, "f"))
