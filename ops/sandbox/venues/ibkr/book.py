"""One environment's account and its orders: submit, modify, cancel.

Pure but for what it is given: time comes as an argument, the order log and the live clients as callables, and the
sandbox's faults as a callable that says whether a cancel will ever complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.venues import calendar
from ops.sandbox.venues.cash import CashDesk
from ops.sandbox.venues.ibkr.frames import text
from ops.sandbox.venues.ibkr.orders import BY_HAND, Account, Fill, Order, Ticket
from ops.sandbox.venues.ibkr.refusals import Refusal, duplicate_id, not_cancelable, rejected, unknown_order
from ops.sandbox.venues.market import Market
from ops.sandbox.venues.matching import CANCEL_LATENCY, MARKET_ORDER_MARGIN
from ops.sandbox.venues.venue import Record

FIRST_ORDER_ID = 1

Tell = Callable[[str, Order, Fill | None], None]
"""Told of `status`, `canceled` and `fill`, so that the client who owns the order hears of it."""


def number_of(*key: str | int) -> int:
    """A positive number of 28 bits that depends on nothing but `key`: ids are the same in every run of one seed."""
    digest = hashlib.sha256("|".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 4


@dataclass
class Hooks:
    """What a book tells the world, and what it asks the faults."""

    record: Record
    tell: Tell
    cancel_sticks: Callable[[], bool]


class Book(CashDesk[Account, Order, Fill]):
    """The venue's book for one account. Methods take venue time and assume `settle` ran just before."""

    VENUE = "ibkr"

    def __init__(self, account: Account, market: Market, hooks: Hooks) -> None:
        super().__init__(account, market, hooks.record)
        self.by_client: dict[tuple[int, int], Order] = {}
        self.hooks = hooks
        self._first_perm_id = 1_000_000_000 + number_of(market.prices.seed, account.environment)

    # looking

    def next_id(self, client_id: int) -> int:
        """The least order id that this client may use next."""
        return self.account.next_ids.get(str(client_id), FIRST_ORDER_ID)

    # changing

    def submit(self, ticket: Ticket, client_id: int, order_id: int, at: datetime) -> Order:
        """Accept an order or raise Refusal; either way the order log says so."""
        try:
            if not client_id == BY_HAND and order_id < self.next_id(client_id):
                raise duplicate_id()
            self.admit(ticket, at)
        except Refusal as refusal:
            self.log_refused(ticket, client_id, refusal.message, at)
            raise
        order = self._order(ticket, client_id, order_id, at)
        self.account.orders_count += 1
        self._use_id(client_id, order_id)
        order.become("PreSubmitted", at)
        self.adopt(order)
        self.log("accepted", order, at)
        self.touch(order)
        self.hooks.tell("status", order, None)
        return order

    def modify(self, order: Order, ticket: Ticket, at: datetime) -> None:
        """New price or size for an order that is open still (its id was sent again)."""
        if order.status == "Filled":
            raise Refusal(104, "Cannot modify a filled order.")
        if not order.is_open:
            raise duplicate_id()
        if (ticket.symbol, ticket.side, ticket.type) != (order.symbol, order.side, order.type):
            raise Refusal(105, "Order being modified does not match original order.")
        if ticket.qty <= order.filled:
            raise rejected("the new size is not above what is filled already")
        del self.open[order.id]  # what it reserves itself is free for its new terms
        try:
            self.admit(replace(ticket, qty=ticket.qty - order.filled), at)
        finally:
            self.open[order.id] = order
        order.qty, order.limit_price, order.stop_price = ticket.qty, ticket.limit_price, ticket.stop_price
        order.hold_price = self._hold_price(ticket, at)
        self.log("replaced", order, at)
        self.touch(order)
        self.hooks.tell("status", order, None)

    def cancel(self, client_id: int, order_id: int, at: datetime) -> None:
        """Only orders of the same client are found (venues.md 6.10). Completes later."""
        order = self.by_client.get((client_id, order_id))
        if order is None:
            raise unknown_order(order_id)
        if not order.is_open:
            raise not_cancelable(order_id, order.status)
        self.ask_cancel(order, at)

    def cancel_all(self, at: datetime) -> None:
        """The global cancel: every open order of the account, whoever placed it."""
        for order in sorted(self.open.values(), key=lambda order: order.perm_id):
            self.ask_cancel(order, at)

    def ask_cancel(self, order: Order, at: datetime) -> None:
        """One that waits for its cancel already is asked again only if that cancel is stuck."""
        if order.status == "PendingCancel" and not order.stuck:
            return
        order.stuck = self.hooks.cancel_sticks()
        order.cancel_due_at = at + CANCEL_LATENCY
        if order.status != "PendingCancel":
            order.become("PendingCancel", at)
        self.log("cancel_requested", order, at)
        self.touch(order)
        self.hooks.tell("status", order, None)

    def bind(self, order: Order) -> None:
        """An order typed in by hand becomes client 0's, under an order id of its."""
        order.client_id, order.order_id = 0, self.next_id(0)
        self._use_id(0, order.order_id)
        self.adopt(order)
        self.touch(order)

    # bookkeeping

    def adopt(self, order: Order) -> None:
        """Index an order, new or read back from the store."""
        super().adopt(order)
        if not order.by_hand:
            self.by_client[order.client_id, order.order_id] = order

    def log(self, event: str, order: Order, at: datetime, reason: str = "", fill: Fill | None = None) -> None:
        qty = fill.qty if fill is not None else order.qty
        price = fill.price if fill is not None else order.limit_price
        shown: dict[str, Any] = {"order_id": order.id, "client_order_id": order.order_ref}
        shown |= {
            "symbol": order.symbol,
            "side": order.side,
            "qty": text(qty),
            "price": None if price is None else text(price),
        }
        self._told(event, at, shown, order.client_id, reason)

    def log_refused(self, ticket: Ticket, client_id: int, reason: str, at: datetime) -> None:
        """A submission that became no order."""
        price = None if ticket.limit_price is None else text(ticket.limit_price)
        claimed = {"client_order_id": ticket.order_ref, "symbol": ticket.symbol, "side": ticket.side}
        self._told(
            "rejected", at, {"order_id": "", **claimed, "qty": text(ticket.qty), "price": price}, client_id, reason
        )

    def _told(self, event: str, at: datetime, order: Mapping[str, Any], client_id: int, reason: str) -> None:
        who = "by-hand" if client_id == BY_HAND else f"client-{client_id}"
        self.line(event, at, order, f"{self.account.environment}-{who}", reason)

    def _use_id(self, client_id: int, order_id: int) -> None:
        self.account_changed = True
        if client_id != BY_HAND:
            self.account.next_ids[str(client_id)] = max(order_id + 1, self.next_id(client_id))

    def _order(self, ticket: Ticket, client_id: int, order_id: int, at: datetime) -> Order:
        return Order(
            perm_id=self._first_perm_id + self.account.orders_count,
            client_id=client_id,
            order_id=order_id,
            symbol=ticket.symbol,
            side=ticket.side,
            qty=ticket.qty,
            type=ticket.type,
            tif=ticket.tif,
            limit_price=ticket.limit_price,
            stop_price=ticket.stop_price,
            hold_price=self._hold_price(ticket, at),
            order_ref=ticket.order_ref,
            submitted_at=at,
            expires_at=calendar.next_close(at),
            status="PreSubmitted",
        )

    def _hold_price(self, ticket: Ticket, at: datetime) -> Decimal:
        """USD per share reserved until the order closes; one without a limit may fill above today's ask."""
        if ticket.limit_price is not None:
            return ticket.limit_price
        return max(self.market.quote(ticket.symbol, at).ask, ticket.stop_price or Decimal(0)) * MARKET_ORDER_MARGIN

    def admit(self, ticket: Ticket, at: datetime) -> None:
        """Whether the account can pay or deliver. Raises Refusal 201."""
        if ticket.side == "buy":
            cost, cash = ticket.qty * self._hold_price(ticket, at), self.free_cash()
            if cost > cash:
                raise rejected(f"the available cash [{text(cash)} USD] does not cover [{text(cost)} USD]")
            return
        if ticket.qty > self.account.held(ticket.symbol) - self.reserved(ticket.symbol):
            raise rejected("a cash account cannot hold a short position")
