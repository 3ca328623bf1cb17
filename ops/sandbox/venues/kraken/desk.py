"""One account and its orders: submit, cancel, and the order log. Time comes as an argument."""

from __future__ import annotations

import base64
import hashlib
from bisect import insort
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.venues import desk as books
from ops.sandbox.venues.kraken.assets import CASH, Market
from ops.sandbox.venues.kraken.orders import Account, Fill, Order, Ticket
from ops.sandbox.venues.kraken.refusals import Refusal, invalid
from ops.sandbox.venues.matching import CANCEL_LATENCY, MARKET_ORDER_MARGIN
from ops.sandbox.venues.venue import Record

NOTHING = Decimal(0)


def derived_id(letter: str, *key: str | int) -> str:
    """An id of Kraken's form (OABCDE-FGHIJ-KLMNOP) that depends on nothing but `key`."""
    digest = hashlib.sha256("|".join(map(str, key)).encode()).digest()
    text = base64.b32encode(digest).decode()
    return f"{letter}{text[:5]}-{text[5:10]}-{text[10:16]}"


class Desk(books.Desk[Account, Order, Fill]):
    """Methods take venue time and assume that the matching ran just before. `sticks`: will a cancel never end."""

    VENUE = "kraken"

    def __init__(self, account: Account, market: Market, record: Record, sticks: Callable[[], bool]) -> None:
        super().__init__(account, record)
        self.market = market
        self.by_client_id: dict[str, list[Order]] = {}
        self.closed: list[Order] = []
        self._sticks = sticks

    # looking

    def equity(self, at: datetime) -> Decimal:
        held = self.account.balances.items()
        return sum((self.market.worth(code, qty, at) for code, qty in held), NOTHING)

    def balance(self, code: str) -> Decimal:
        return self.account.balances.get(code, NOTHING)

    def held(self, code: str) -> Decimal:
        """What open orders have reserved of an asset."""
        if code == CASH:
            return sum((o.remaining * o.hold_price for o in self.open.values() if o.side == "buy"), NOTHING)
        symbol = f"{code}/{CASH}"
        return sum((o.remaining for o in self.open.values() if o.side == "sell" and o.symbol == symbol), NOTHING)

    # changing

    def submit(self, ticket: Ticket, key_id: str, at: datetime) -> Order:
        """Accept an order or raise Refusal; either way the order log says so."""
        try:
            self.admit(ticket, at)
        except Refusal as refusal:
            self.log_refused(claimed(ticket), key_id, refusal.error, at)
            raise
        count = self.account.orders_count
        order = Order(
            txid=derived_id("O", self.market.prices.seed, self.account.environment, "order", count),
            seq=count,
            symbol=ticket.symbol,
            side=ticket.side,
            qty=ticket.qty,
            limit=ticket.limit,
            stop=ticket.stop,
            hold_price=self._hold_price(ticket, at),
            cl_ord_id=ticket.cl_ord_id,
            userref=ticket.userref,
            post_only=ticket.post_only,
            immediate=ticket.immediate,
            submitted_at=at,
            expires_at=ticket.expires_at,
            key_id=key_id,
        )
        self.account.orders_count += 1
        self.account_changed = True
        self.adopt(order)
        self.log("accepted", order, at)
        self.touch(order)
        return order

    def admit(self, ticket: Ticket, at: datetime) -> None:
        """Raises Refusal: client ids are unique among open orders only (venues.md 3.5); then funds, then post-only."""
        if ticket.cl_ord_id and any(order.is_open for order in self.by_client_id.get(ticket.cl_ord_id, ())):
            raise invalid("cl_ord_id not unique")
        buying = ticket.side == "buy"
        code = CASH if buying else self.market.pairs[ticket.symbol].base.code
        needed = ticket.qty * self._hold_price(ticket, at) if buying else ticket.qty
        if needed > self.balance(code) - self.held(code):
            raise Refusal("EOrder:Insufficient funds")
        bid, ask = self.market.quote(ticket.symbol, at)
        if ticket.post_only and ticket.limit and (ticket.limit >= ask if buying else ticket.limit <= bid):
            raise Refusal("EOrder:Post only order")

    def cancel(self, order: Order, at: datetime) -> None:
        """Ask for a cancel. It completes later; an order already waiting for its cancel is asked again."""
        if order.cancel_due_at is not None and not order.stuck:
            return
        order.stuck, order.cancel_due_at = self._sticks(), at + CANCEL_LATENCY
        self.log("cancel_requested", order, at)
        self.touch(order)

    def cancel_all(self, at: datetime) -> int:
        """Ask for all; returns how many are open."""
        waiting = sorted(self.open.values(), key=lambda order: order.seq)
        for order in waiting:
            self.cancel(order, at)
        return len(waiting)

    def end(self, order: Order, status: str, at: datetime, reason: str = "") -> None:
        """Close an order: `closed` when filled, `canceled`, `expired`."""
        order.status, order.closed_at, order.reason = status, at, reason
        self.touch(order)
        self._file(order)
        if status != "closed":
            self.log(status, order, at, reason)

    def book(self, order: Order, fill: Fill) -> None:
        """Move money and coins for one execution, and close the order when nothing is left of it."""
        code, amount = self.market.pairs[fill.symbol].base.code, fill.qty * fill.price
        sign = 1 if fill.side == "buy" else -1
        balances = self.account.balances
        balances[CASH] = self.balance(CASH) - sign * amount
        balances[code] = self.balance(code) + sign * fill.qty
        order.filled_qty, order.cost, order.filled_at = order.filled_qty + fill.qty, order.cost + amount, fill.at
        self.count(fill)
        self.touch(order)
        self.log("partial_fill" if order.remaining else "fill", order, fill.at, fill=fill)
        if not order.remaining:
            self.end(order, "closed", fill.at)

    # bookkeeping

    def adopt(self, order: Order) -> None:
        """Index an order, new or read back from the store."""
        super().adopt(order)
        if order.cl_ord_id:
            self.by_client_id.setdefault(order.cl_ord_id, []).append(order)
        if not order.is_open:
            self._file(order)

    def log(self, event: str, order: Order, at: datetime, reason: str = "", fill: Fill | None = None) -> None:
        qty, price = (order.qty, order.limit or order.stop) if fill is None else (fill.qty, fill.price)
        ids = {"order_id": order.txid, "client_order_id": order.cl_ord_id, "symbol": order.symbol, "side": order.side}
        shown = {**ids, "qty": str(qty), "price": None if price is None else str(price)}
        self.line(event, at, shown, order.key_id, reason)

    def log_refused(self, asked: dict[str, Any], key_id: str, reason: str, at: datetime) -> None:
        """A submission that became no order; `asked` is what its sender asked for."""
        self.line("rejected", at, {"order_id": "", **asked}, key_id, reason)

    def _file(self, order: Order) -> None:
        insort(self.closed, order, key=lambda known: (known.closed_at or known.submitted_at, known.seq))

    def _hold_price(self, ticket: Ticket, at: datetime) -> Decimal:
        """USD per unit reserved until the order closes; a market order may fill above today's ask."""
        if ticket.limit is not None:
            return ticket.limit
        touch = ticket.stop if ticket.stop is not None else self.market.quote(ticket.symbol, at)[1]
        return touch * MARKET_ORDER_MARGIN


def claimed(ticket: Ticket) -> dict[str, Any]:
    price = ticket.limit or ticket.stop
    ids = {"client_order_id": ticket.cl_ord_id, "symbol": ticket.symbol, "side": ticket.side}
    return {**ids, "qty": str(ticket.qty), "price": None if price is None else str(price)}
