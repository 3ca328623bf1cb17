"""One environment's account and its orders: submit, replace, cancel, close positions.

Pure but for what it is given: time comes as an argument, the order log as a callable, and the sandbox's
faults as a callable that says whether a cancel will ever complete.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.venues import calendar
from ops.sandbox.venues.alpaca.accounts import Account
from ops.sandbox.venues.alpaca.orders import Fill, Order, Ticket
from ops.sandbox.venues.alpaca.refusals import Refusal, forbidden, invalid, missing, unprocessable
from ops.sandbox.venues.alpaca.wire import maybe, text
from ops.sandbox.venues.cash import CashDesk
from ops.sandbox.venues.market import Market, derived_uuid
from ops.sandbox.venues.matching import CANCEL_LATENCY, MARKET_ORDER_MARGIN
from ops.sandbox.venues.venue import Record

_UNCANCELABLE = frozenset({"pending_cancel", "pending_replace"})

CancelFate = Callable[[], bool]


class Desk(CashDesk[Account, Order, Fill]):
    """The venue's book for one account. Methods take venue time and assume `settle` ran just before."""

    VENUE = "alpaca"

    def __init__(self, account: Account, market: Market, record: Record, cancel_sticks: CancelFate) -> None:
        super().__init__(account, market, record)
        self.by_client_id: dict[str, Order] = {}
        self.by_time: list[Order] = []
        self._cancel_sticks = cancel_sticks

    # looking

    def order(self, order_id: str) -> Order:
        """Raises Refusal 404 for an id the venue never gave out."""
        try:
            return self.orders[order_id]
        except KeyError:
            raise missing(f"order not found for {order_id}") from None

    def order_of_client(self, client_order_id: str) -> Order:
        try:
            return self.by_client_id[client_order_id]
        except KeyError:
            raise missing(f"order not found for {client_order_id}") from None

    # changing

    def submit(self, ticket: Ticket, key_id: str, at: datetime) -> Order:
        """Accept an order or raise Refusal; either way the order log says so."""
        order_id = derived_uuid(self.market.prices.seed, self.account.environment, "order", self.account.orders_count)
        try:
            self._admit(ticket, at)
        except Refusal as refusal:
            self.log_refused(_claimed(ticket), key_id, refusal.message, at)
            raise
        order = self._order(ticket, order_id, key_id, at)
        self.account.orders_count += 1
        self.account_changed = True
        order.become("pending_new", at)
        self.adopt(order)
        self.log("accepted", order, at)
        self.touch(order)
        return order

    def replace(self, order_id: str, ticket: Ticket, key_id: str, at: datetime) -> Order:
        """Swap an open order for a new one with its own ids; the old one ends as `replaced`."""
        old = self.order(order_id)
        if not old.is_open or old.status in _UNCANCELABLE:
            raise unprocessable(f'order is already in "{old.status}" state')
        del self.open[old.id]
        try:
            new = self.submit(ticket, key_id, at)
        except Refusal:
            self.open[old.id] = old
            raise
        new.replaces, old.replaced_by, old.replaced_at = old.id, new.id, at
        old.become("replaced", at)
        self.log("replaced", old, at)
        self.touch(old)
        return new

    def cancel(self, order_id: str, at: datetime) -> Order:
        """Ask for a cancel. It completes later; an order already waiting for its cancel is asked again."""
        order = self.order(order_id)
        if not order.is_open:
            raise unprocessable(f'order is already in "{order.status}" state')
        if order.status == "pending_cancel" and not order.stuck:
            return order
        order.stuck = self._cancel_sticks()
        order.cancel_due_at = at + CANCEL_LATENCY
        if order.status != "pending_cancel":
            order.become("pending_cancel", at)
        self.log("cancel_requested", order, at)
        self.touch(order)
        return order

    def cancel_all(self, at: datetime) -> list[Order]:
        return [self.cancel(order.id, at) for order in sorted(self.open.values(), key=lambda order: order.seq)]

    def close_position(self, symbol: str, qty: Decimal | None, key_id: str, at: datetime) -> Order:
        """Sell a holding, or `qty` of it, at market. A suspended account cannot: closing is an order too."""
        held = self.account.held(symbol)
        if not held:
            raise missing("position does not exist")
        client_order_id = derived_uuid(self.account.environment, "close", self.account.orders_count)
        ticket = Ticket(symbol, qty if qty is not None else held, "sell", "market", "day", client_order_id)
        return self.submit(ticket, key_id, at)

    # bookkeeping

    def adopt(self, order: Order) -> None:
        """Index an order, new or read back from the store."""
        super().adopt(order)
        self.by_client_id[order.client_order_id] = order
        insort(self.by_time, order, key=lambda known: (known.submitted_at, known.seq))

    def log(self, event: str, order: Order, at: datetime, reason: str = "", fill: Fill | None = None) -> None:
        qty = fill.qty if fill is not None else order.qty
        price = fill.price if fill is not None else order.limit_price
        ids = {"order_id": order.id, "client_order_id": order.client_order_id, "symbol": order.symbol}
        shown = {**ids, "side": order.side, "qty": text(qty), "price": maybe(price)}
        self.line(event, at, shown, order.key_id, reason)

    def log_refused(self, claimed: dict[str, Any], key_id: str, reason: str, at: datetime) -> None:
        """A submission that became no order; `claimed` is what its sender asked for."""
        self.line("rejected", at, {"order_id": "", **claimed}, key_id, reason)

    def _order(self, ticket: Ticket, order_id: str, key_id: str, at: datetime) -> Order:
        return Order(
            id=order_id,
            seq=self.account.orders_count,
            client_order_id=ticket.client_order_id,
            symbol=ticket.symbol,
            side=ticket.side,
            type=ticket.type,
            time_in_force=ticket.time_in_force,
            qty=ticket.qty,
            limit_price=ticket.limit_price,
            hold_price=self._hold_price(ticket, at),
            extended_hours=ticket.extended_hours,
            submitted_at=at,
            updated_at=at,
            status="pending_new",
            key_id=key_id,
            expires_at=calendar.next_close(at),
        )

    def _hold_price(self, ticket: Ticket, at: datetime) -> Decimal:
        """USD per share reserved until the order closes; a market order may fill above today's ask."""
        if ticket.limit_price is not None:
            return ticket.limit_price
        return self.market.quote(ticket.symbol, at).ask * MARKET_ORDER_MARGIN

    def _admit(self, ticket: Ticket, at: datetime) -> None:
        if ticket.client_order_id in self.by_client_id:
            raise invalid("client_order_id must be unique")
        if self.account.suspended:
            raise forbidden("new orders are rejected by user request")
        if ticket.side == "buy":
            self._require_cash(ticket, at)
        else:
            self._require_shares(ticket)

    def _require_cash(self, ticket: Ticket, at: datetime) -> None:
        cost = ticket.qty * self._hold_price(ticket, at)
        power = self.free_cash()
        if cost > power:
            amounts = {"buying_power": text(power), "cost_basis": text(cost)}
            raise forbidden("insufficient buying power", **amounts)

    def _require_shares(self, ticket: Ticket) -> None:
        existing = self.account.held(ticket.symbol)
        reserved = self.reserved(ticket.symbol)
        if ticket.qty > existing - reserved:
            requested, available = text(ticket.qty), text(existing - reserved)
            raise forbidden(
                f"insufficient qty available for order (requested: {requested}, available: {available})",
                available=available,
                existing_qty=text(existing),
                held_for_orders=text(reserved),
                symbol=ticket.symbol,
            )


def _claimed(ticket: Ticket) -> dict[str, Any]:
    ids = {"client_order_id": ticket.client_order_id, "symbol": ticket.symbol, "side": ticket.side}
    return {**ids, "qty": text(ticket.qty), "price": maybe(ticket.limit_price)}
