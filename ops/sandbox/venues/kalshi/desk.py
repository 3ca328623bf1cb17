"""One exchange's account and its orders: submit, cancel, order groups. Time comes as an argument.

The exchange cancels at once; its read side learns of it later (`READ_LAG`), as the real one's does.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.venues import desk as books
from ops.sandbox.venues.kalshi import admission
from ops.sandbox.venues.kalshi.market import Market
from ops.sandbox.venues.kalshi.orders import READ_LAG, Account, Fill, Group, Order, Ticket
from ops.sandbox.venues.kalshi.refusals import Refusal, missing
from ops.sandbox.venues.market import derived_uuid
from ops.sandbox.venues.venue import Record

TRADES = {"bid": "buy", "ask": "sell"}


class Desk(books.Desk[Account, Order, Fill]):
    """The exchange's book for one account. Methods assume that `matching.settle` ran just before."""

    VENUE = "kalshi"

    def __init__(self, account: Account, market: Market, record: Record, cancel_sticks: Callable[[], bool]) -> None:
        super().__init__(account, record)
        self.market = market
        self.by_client_id: dict[str, Order] = {}
        self.newest: list[Order] = []
        self.fading: dict[str, Order] = {}
        self.bodies: dict[str, str] = {}
        self._cancel_sticks = cancel_sticks

    # looking

    def order(self, order_id: str) -> Order:
        """Raises Refusal 404 for an id that was never given out."""
        try:
            return self.orders[order_id]
        except KeyError:
            raise missing() from None

    def group(self, group_id: str) -> Group:
        try:
            return self.account.groups[group_id]
        except KeyError:
            raise missing("order_group_not_found") from None

    def resting(self, at: datetime) -> list[Order]:
        """What the read side shows as resting, newest first."""
        faded = [order for order in self.fading.values() if order.shown(at) == "resting"]
        return sorted([*self.open.values(), *faded], key=lambda order: -order.seq)

    def portfolio_value(self, at: datetime) -> Decimal:
        held = (position for position in self.account.positions.values() if position.qty)
        return sum((p.value(self.market.quote(p.ticker, at).mid) for p in held), Decimal(0))

    def reserved(self) -> Decimal:
        """What the open orders would cost, in dollars."""
        return sum((order.remaining * order.ticket.unit_cost for order in self.open.values()), Decimal(0))

    # changing

    def submit(self, ticket: Ticket, key_id: str, at: datetime) -> Order:
        """Take an order in or raise Refusal; the order log says which. It still rests whole: matching comes next."""
        try:
            admission.admit(self, ticket, at)
        except Refusal as refusal:
            self.log_refused(claimed(ticket), key_id, refusal.reason, at)
            raise
        seq = self.account.orders_count
        order_id = derived_uuid(self.market.prices.seed, self.account.environment, "kalshi order", seq)
        order = Order(order_id, seq, ticket, key_id, at, at, remaining=admission.admitted_count(self, ticket))
        self.account.orders_count += 1
        self.account_changed = True
        order.become("resting", at)
        self.adopt(order)
        self.log("accepted", order, at)
        self.touch(order)
        return order

    def cancel(self, order_id: str, at: datetime) -> Order:
        """404 unless it rests (venues.md 4.5). A stuck one is acknowledged and goes on resting."""
        order = self.order(order_id)
        if not order.is_open:
            raise missing()
        self.log("cancel_requested", order, at)
        order.stuck = self._cancel_sticks()
        if not order.stuck:
            self.end(order, at, "canceled")
            order.hidden_until = at + READ_LAG
            self.fading[order.id] = order
        return order

    def cancel_many(self, orders: Iterable[Order], at: datetime) -> None:
        for order in list(orders):
            self.cancel(order.id, at)

    def end(self, order: Order, at: datetime, event: str, reason: str = "") -> None:
        """An order that will trade no more: logged as canceled or expired, shown as canceled."""
        order.become("canceled", at)
        self.log(event, order, at, reason)
        self.touch(order)

    # order groups

    def create_group(self, limit: Decimal) -> Group:
        made = derived_uuid(
            self.market.prices.seed, self.account.environment, "kalshi group", self.account.groups_count
        )
        self.account.groups_count += 1
        self.account.groups[made] = Group(made, limit)
        self.account_changed = True
        return self.account.groups[made]

    def trigger(self, group: Group, at: datetime) -> None:
        """Cancel its orders and take no new ones until the reset."""
        group.triggered = True
        self.account_changed = True
        self.cancel_many(self.members(group), at)

    def members(self, group: Group) -> list[Order]:
        return [order for order in self.open.values() if order.ticket.order_group_id == group.id]

    # bookkeeping

    def adopt(self, order: Order) -> None:
        """Index an order, new or read back from the store."""
        super().adopt(order)
        self.by_client_id[order.ticket.client_order_id] = order
        insort(self.newest, order, key=lambda known: -known.seq)

    def touch(self, order: Order) -> None:
        super().touch(order)
        self.bodies.pop(order.id, None)

    def log(self, event: str, order: Order, at: datetime, reason: str = "", fill: Fill | None = None) -> None:
        ticket = order.ticket
        line = {
            "order_id": order.id,
            **claimed(ticket),
            "qty": str(fill.count if fill is not None else ticket.count),
            "price": str(fill.price if fill is not None else ticket.price),
        }
        self.line(event, at, line, order.key_id, reason)

    def log_refused(self, wanted: dict[str, Any], key_id: str, reason: str, at: datetime) -> None:
        """A submission that became no order; `wanted` is what its sender asked for."""
        self.line("rejected", at, {"order_id": "", **wanted}, key_id, reason)


def claimed(ticket: Ticket) -> dict[str, Any]:
    """What a ticket asks for, in the words of the order log."""
    ids = {"client_order_id": ticket.client_order_id, "symbol": ticket.ticker, "side": TRADES[ticket.side]}
    return {**ids, "qty": str(ticket.count), "price": str(ticket.price)}
