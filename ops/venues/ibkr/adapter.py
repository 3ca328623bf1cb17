"""Interactive Brokers through ib_async (or ib_insync) and a TWS or Gateway on the same machine.

There are no credentials: whoever reaches the socket may trade, and the account ids that the gateway manages are the
only proof of which account it is (venues 6.1). An order's id here is its permId, the only one that is the account's and
for ever; our client id travels as orderRef, which IBKR keeps but does not hold unique (venues 6.10). What IBKR does not
say: when an open order was submitted, and closed orders of earlier days.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from ops.errors import VenueError
from ops.venues.ibkr.hours import merged, restarts
from ops.venues.ibkr.line import Line, Refused, Talk
from ops.venues.ibkr.questions import (
    REFERENCE,
    executions,
    fill_view,
    find,
    held_quantities,
    hours,
    of_client,
    open_trades,
    order_view,
    portfolio,
    summary,
    usd,
)
from ops.venues.protocol import (
    AccountView,
    FillView,
    Keys,
    KeyView,
    OrderView,
    OrderWish,
    PositionView,
    StatusView,
    Window,
)

Answer = TypeVar("Answer")

TIMEOUT_SECONDS = 8.0
PROBE_PRICE = Decimal(1)
POSITION_READS = 3
_READ_ONLY, _TOO_LATE = 321, 10148
_WARNED = "ValidationError"
"""ib_async's own word for an order that a warning came for (399: it waits for the open); no word of IBKR's."""


class Ibkr:
    """One account behind one gateway. Satisfies VenueReader and VenueActor.

    Orders are those of every account of the login and of the gateway's own window, since its global cancel reaches
    them all; positions and fills are the account's. A call that fails gives the connection up, the next makes one anew.
    """

    latches = False
    timed = False

    def __init__(self, endpoint: str, account: str, keys: Keys, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """`keys` are empty here. Connects when first asked."""
        self._account = account
        self._line = Line(endpoint, timeout_seconds)
        self._fate_unknown: set[str] = set()

    def close(self) -> None:
        """Disconnects; a further call connects again."""
        self._line.close()

    # reading

    def account(self) -> AccountView:
        """Paper accounts begin with D, live ones do not; a gateway that manages both proves nothing (venues 6.1).

        IBKR shows no block on the socket: whether orders are taken is for `key` to ask.
        """

        async def ask(talk: Talk) -> AccountView:
            managed = talk.ib.client.getAccounts()
            paper = {number.startswith("D") for number in managed}
            if len(paper) != 1:
                raise VenueError("the gateway manages paper and live accounts at once")
            number = self._account if self._account in managed else managed[0]
            equity, cash, last = [usd(row) for row in await summary(talk, number)]
            if equity is None or cash is None:
                raise VenueError("IBKR does not say what the account is worth")
            return AccountView(number, paper.pop(), equity, cash, last, blocked=False, suspended=False)

        return self._line.ask(ask)

    def key(self) -> KeyView:
        """Asks what an order far from the market would do (what-if): nothing is placed, a read-only gateway says so.

        The socket has no message that moves money out (venues 0.1).
        """

        async def ask(talk: Talk) -> bool:
            stock = talk.library.Stock(REFERENCE, "SMART", "USD")
            order = talk.library.LimitOrder("BUY", 1, PROBE_PRICE, tif="DAY", account=self._account)
            await talk.answer(talk.ib.whatIfOrderAsync(stock, order))
            return True

        may_trade: bool | None = None
        try:
            may_trade = self._ask(ask)
        except Refused as refusal:
            may_trade = False if refusal.code == _READ_ONLY and "Read-Only" in str(refusal) else None
        return KeyView(permissions=None, may_trade=may_trade, may_withdraw=False)

    def status(self) -> StatusView:
        """By the liquid hours of a stock that trades whenever stocks do; `unknown` while the gateway has lost IBKR."""

        async def ask(talk: Talk) -> StatusView:
            sessions, now = await hours(talk)
            if talk.lost:
                return StatusView("unknown", talk.lost)
            inside = [w for w in sessions if w.kind == "session" and w.begins <= now < w.ends]
            return StatusView("open", inside[0].said) if inside else StatusView("closed", f"{REFERENCE} does not trade")

        return self._ask(ask)

    def windows(self, begins: datetime, ends: datetime) -> Sequence[Window]:
        """Sessions and closed days as listed, restarts as known. Raises VenueError beyond what IBKR lists."""

        async def ask(talk: Talk) -> list[Window]:
            sessions, now = await hours(talk)
            if talk.lost:
                raise VenueError(f"the gateway has lost IBKR: {talk.lost}")
            if not sessions or begins < sessions[0].begins.replace(hour=0, minute=0) or ends > sessions[-1].ends:
                raise VenueError(f"IBKR lists its hours from {now:%Y-%m-%d} for some days only")
            return sessions

        found = [*merged(self._ask(ask)), *restarts(begins, ends)]
        inside = [window for window in found if window.ends > begins and window.begins < ends]
        return sorted(inside, key=lambda window: window.begins)

    def open_orders(self, newest_first: bool = True) -> Sequence[OrderView]:
        """One list of all clients' orders and the manual ones, by permId."""

        async def ask(talk: Talk) -> list[OrderView]:
            return [order_view(trade) for trade in await open_trades(talk)]

        return sorted(self._ask(ask), key=lambda order: int(order.id), reverse=newest_first)

    def order(self, order_id: str) -> OrderView:
        """Raises VenueError if neither the open nor today's closed orders nor the executions show it."""
        found = self._ask(lambda talk: find(talk, lambda order: str(order.permId) == order_id))
        if found is None:
            raise VenueError(f"IBKR shows no order {order_id}, open or closed today")
        return found

    def order_by_client_id(self, client_id: str) -> OrderView | None:
        """Open, closed today, or executed. An id whose order ended on an earlier day unfilled is not shown any more."""
        return self._ask(lambda talk: find(talk, of_client(client_id)))

    def positions(self) -> Sequence[PositionView]:
        """The list of positions and the portfolio, which must agree: either of them may be silently incomplete."""

        async def ask(talk: Talk) -> list[PositionView]:
            for _ in range(POSITION_READS):  # a fill between the two reads is no disagreement
                held, valued = await held_quantities(talk, self._account), await portfolio(talk, self._account)
                if held == {key: qty for key, (qty, _) in valued.items()}:
                    return [PositionView(symbol, qty, valued[symbol][1]) for symbol, qty in held.items()]
            raise VenueError("IBKR's list of positions and its portfolio disagree")

        return self._ask(ask)

    def fills_since(self, since: datetime) -> Sequence[FillView]:
        """To the second, as IBKR shows them. How far back it goes is the gateway's setting: a Gateway shows the current
        day, a TWS up to the days of its trade log; compare with the bots' own records, never take it for all."""

        async def ask(talk: Talk) -> list[FillView]:
            fills = [fill_view(fill) for fill in await executions(talk) if fill.execution.acctNumber == self._account]
            return [fill for fill in fills if fill.at >= since.replace(microsecond=0)]

        return sorted(self._ask(ask), key=lambda fill: (fill.at, fill.id))

    # changing

    def place(self, wish: OrderWish) -> OrderView:
        """A day order for a US stock. IBKR would take the same orderRef twice: it is looked up first.

        One whose answer was lost and that no list shows is not sent again: lists may be late. Raises VenueError.
        """
        return self._once(wish.client_id, wish.symbol, wish.side, wish.qty, wish.limit_price)

    def cancel(self, order_id: str) -> None:
        """Only the client who placed an order can cancel it (venues 6.10): we connect as that one if it is away.

        Raises VenueError if it is connected, or the order was typed in by hand: `cancel_all` reaches those too.
        """

        async def ask(talk: Talk) -> tuple[int, int] | None:
            mine = [trade.order for trade in await open_trades(talk) if str(trade.order.permId) == order_id]
            if not mine:
                return None
            client, number = mine[0].clientId, mine[0].orderId
            if number and client == talk.client_id:
                await _cancel(talk, number)
                return None
            return client, number

        owner = self._ask(ask)
        if owner is None:
            self.order(order_id)  # one that has ended needs no cancel, one that nobody knows is an error
        elif owner[1] <= 0:
            raise VenueError(f"order {order_id} was typed in by hand: only a global cancel reaches it")
        else:
            self._line.as_client(owner[0], lambda talk: _cancel(talk, owner[1]))

    def cancel_all(self) -> int:
        """The global cancel: every order of the login. It has no answer of its own: the orders are counted before."""

        async def ask(talk: Talk) -> int:
            count = len(await open_trades(talk))
            talk.ib.reqGlobalCancel()
            await talk.flush()
            return count

        return self._ask(ask)

    def set_suspended(self, suspended: bool) -> None:
        """IBKR has none on the socket."""
        raise VenueError("IBKR has no halt of its own on the socket")

    def set_dead_man(self, seconds: int | None) -> datetime | None:
        """IBKR has none."""
        raise VenueError("IBKR has no dead-man's switch")

    def close_position(self, position: PositionView, client_id: str) -> None:
        """A market order against what is still held, never more than was meant: a second call sends nothing."""
        held = next((p.qty for p in self.positions() if p.symbol == position.symbol), Decimal(0))
        qty = min(abs(held), abs(position.qty))
        if held * position.qty > 0:
            self._once(client_id, position.symbol, "sell" if held > 0 else "buy", qty, None)

    def _once(self, client_id: str, symbol: str, side: str, qty: Decimal, price: Decimal | None) -> OrderView:
        async def ask(talk: Talk) -> OrderView:
            known = await find(talk, of_client(client_id))
            if known is not None:
                return known
            if client_id in self._fate_unknown:
                raise VenueError(f"order {client_id} was sent before, and IBKR does not show it (yet)")
            stock, terms = talk.library.Stock(symbol, "SMART", "USD"), {"tif": "DAY", "account": self._account}
            if price is None:
                order = talk.library.MarketOrder(side.upper(), _plain(qty), orderRef=client_id, **terms)
            else:
                order = talk.library.LimitOrder(side.upper(), _plain(qty), _plain(price), orderRef=client_id, **terms)
            self._fate_unknown.add(client_id)
            return await _sent(talk, stock, order)

        try:
            shown = self._ask(ask)
        except Refused:
            self._fate_unknown.discard(client_id)
            raise
        self._fate_unknown.discard(client_id)
        return shown

    def _ask(self, question: Callable[[Talk], Awaitable[Answer]]) -> Answer:
        """Every question but the one for the account is asked only of a gateway that manages the account."""

        async def ask(talk: Talk) -> Answer:
            if self._account not in talk.ib.client.getAccounts():
                raise VenueError(f"the gateway does not manage account {self._account}")
            return await question(talk)

        return self._line.ask(ask)


async def _sent(talk: Talk, stock: Any, order: Any) -> OrderView:
    """Sends once and waits for IBKR's own id and status of it. Raises VenueError: then it may be there or not."""
    trade = talk.ib.placeOrder(stock, order)
    while not (trade.order.permId and trade.orderStatus.permId):
        talk.news.clear()
        await talk.news.wait()
    if trade.orderStatus.status != _WARNED:
        return order_view(trade)
    shown = await find(talk, lambda known: known.permId == trade.order.permId)
    if shown is None:
        raise VenueError("IBKR took an order and does not show it")
    return shown


async def _cancel(talk: Talk, order_id: int) -> None:
    talk.concerns(order_id)
    talk.ib.client.cancelOrder(order_id, "")
    try:
        await talk.flush()
    except Refused as refusal:
        if refusal.code != _TOO_LATE:
            raise


def _plain(number: Decimal) -> Decimal:
    """Without an exponent: the library writes what `str` says. Decimals go through it as they are."""
    return Decimal(format(number, "f"))
