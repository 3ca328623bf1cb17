"""One environment's wallet and its orders: submit, match, cancel, heartbeat.

Pure but for what it is given: time comes as an argument, the order log as a callable, and the sandbox's faults as a
callable that says whether a cancel will ever complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ops.sandbox.journal import stamp
from ops.sandbox.venues.market import derived_uuid
from ops.sandbox.venues.matching import refilling
from ops.sandbox.venues.polymarket.market import DEPTH, SIZE_MIN, TICK, Market
from ops.sandbox.venues.polymarket.records import CANCELED, MATCHED, Account, Order, Trade

HEARTBEAT = timedelta(seconds=10)
"""Venues 5.4: once beats were begun, orders are cancelled this long after the last one."""
GONE = "order can't be found - already canceled or matched"
_LOTS = {"GTC": Decimal("0.01"), "GTD": Decimal("0.01")}
_IMMEDIATE_LOT = Decimal("0.0001")
"""What the public client rounds shares to."""


class Refusal(Exception):
    """The venue's no: HTTP status and the text of its `error`."""

    def __init__(self, status: int, text: str, **more: str) -> None:
        super().__init__(text)
        self.status, self.body = status, {"error": text, **more}


@dataclass(frozen=True, slots=True)
class Ticket:
    """A wish whose signature was verified. `kind` GTC, GTD, FOK or FAK."""

    id: str
    token: str
    side: str
    qty: Decimal
    price: Decimal
    kind: str
    owner: str
    client_id: str
    post_only: bool = False
    expires_at: datetime | None = None


class Desk:
    """The venue's book for one wallet. Methods take venue time."""

    def __init__(
        self, account: Account, market: Market, record: Callable[[dict[str, Any]], None], sticks: Callable[[], bool]
    ) -> None:
        self.account, self.market = account, market
        self.orders: dict[str, Order] = {}
        self.open: dict[str, Order] = {}
        self.trades: list[Trade] = []
        self.changed: dict[str, Account | Order | Trade] = {}
        self._record, self._sticks = record, sticks

    def adopt(self, order: Order) -> None:
        """Take in an order, new or read back from the store."""
        self.orders[order.id] = order
        if order.open:
            self.open[order.id] = order

    # orders

    def submit(self, ticket: Ticket, at: datetime) -> Order:
        """Accept an order and match it at once, or raise Refusal, which is not in the order log yet."""
        self._admit(ticket, at)
        self.account.orders_count += 1
        order = Order(
            ticket.id, self.account.orders_count, ticket.token, ticket.side, ticket.qty, ticket.price, ticket.kind,
            ticket.owner, ticket.client_id, at, ticket.expires_at,
        )  # fmt: skip
        self.adopt(order)
        self._log("accepted", order, at)
        self._match(order, at, maker=False)
        if order.open and ticket.kind in ("FOK", "FAK"):
            self._end(order, at, "canceled", "the rest is killed")
        self._touch(order)
        return order

    def cancel(self, wanted: Sequence[str], at: datetime) -> dict[str, Any]:
        """As the venue answers: ids that it says are cancelled, and reasons for the others."""
        canceled, not_canceled = [], {}
        for order_id in wanted:
            order = self.open.get(order_id)
            if order is None:
                not_canceled[order_id] = GONE
                continue
            canceled.append(order_id)
            self._log("cancel_requested", order, at)
            if not self._sticks():
                self._end(order, at, "canceled")
        return {"canceled": canceled, "not_canceled": not_canceled}

    def beat(self, given: str, at: datetime) -> dict[str, str]:
        """Renew the dead-man's switch, or begin it with an empty id. A wrong id is refused and told the right one."""
        account = self.account
        if given != account.beat:
            raise Refusal(400, "Invalid Heartbeat ID", heartbeat_id=account.beat)
        account.beats_count += 1
        account.beat = derived_uuid("heartbeat", account.environment, account.beats_count)
        account.beat_due_at = at + HEARTBEAT
        self.changed[account.environment] = account
        return {"heartbeat_id": account.beat, "status": "ok"}

    def settle(self, at: datetime) -> None:
        """Bring the book up to venue time `at`."""
        account = self.account
        if account.beat_due_at is not None:
            account.beat_due_at = min(account.beat_due_at, at + HEARTBEAT)  # a clock set back is no long wait
            if at >= account.beat_due_at:
                account.beat, account.beat_due_at = "", None
                self.changed[account.environment] = account
                for order in list(self.open.values()):
                    self._end(order, at, "canceled", "no heartbeat")
        for order in list(self.open.values()):
            if order.expires_at is not None and at >= order.expires_at:
                self._end(order, at, "expired")
            else:
                self._match(order, at, maker=True)

    # looking

    def shown(self, as_of: datetime | None) -> list[Order]:
        """Open orders, oldest first; `as_of`: as they were then."""
        if as_of is None:
            return list(self.open.values())
        known = self.orders.values()
        return [o for o in known if o.at <= as_of and (o.ended_at is None or o.ended_at > as_of)]

    def log_refused(self, claimed: Ticket, reason: str, at: datetime) -> None:
        """A submission that became no order; `claimed` is what its sender asked for."""
        self._line("rejected", claimed, at, {"order_id": "", "reason": reason})

    # inside

    def _admit(self, ticket: Ticket, at: datetime) -> None:
        if ticket.id in self.orders:
            raise Refusal(400, f"order {ticket.id} is invalid. Duplicated.")
        if ticket.price % TICK or not TICK <= ticket.price <= 1 - TICK:
            raise Refusal(
                400, f"order {ticket.id} is invalid. Price ({ticket.price}) breaks minimum tick size rule: {TICK}"
            )
        if ticket.qty < SIZE_MIN or ticket.qty % _LOTS.get(ticket.kind, _IMMEDIATE_LOT):
            raise Refusal(400, f"order {ticket.id} is invalid. Size ({ticket.qty}) lower than the minimum: {SIZE_MIN}")
        if ticket.qty * (ticket.price if ticket.side == "BUY" else 1) > self._free(ticket):
            raise Refusal(400, "not enough balance / allowance")
        crosses = self._crosses(ticket, at)
        if ticket.post_only and crosses:
            raise Refusal(400, "invalid post-only order: order crosses book")
        if ticket.kind == "FAK" and not crosses:
            raise Refusal(400, "no orders found to match with FAK order")
        if ticket.kind == "FOK" and not (crosses and ticket.qty <= DEPTH):
            raise Refusal(400, "order couldn't be fully filled. FOK orders are fully filled or killed.")

    def _free(self, ticket: Ticket) -> Decimal:
        """pUSD (for a buy) or shares (for a sell) that no open order has reserved."""
        rivals = [order for order in self.open.values() if order.side == ticket.side]
        if ticket.side == "BUY":
            return self.account.cash - sum((order.remaining * order.price for order in rivals), Decimal(0))
        reserved = sum((order.remaining for order in rivals if order.token == ticket.token), Decimal(0))
        return self.account.held.get(ticket.token, Decimal(0)) - reserved

    def _crosses(self, order: Order | Ticket, at: datetime) -> bool:
        bid, ask = self.market.quote(order.token, at)
        return order.price >= ask if order.side == "BUY" else order.price <= bid

    def _match(self, order: Order, at: datetime, maker: bool) -> None:
        if not self._crosses(order, at) or (order.trades and refilling(self._last_trade(order), at)):
            return
        bid, ask = self.market.quote(order.token, at)
        price, qty = ask if order.side == "BUY" else bid, min(order.remaining, DEPTH)
        account = self.account
        trade_id = derived_uuid(self.market.prices.seed, account.environment, "trade", account.trades_count)
        trade = Trade(
            trade_id, account.trades_count, order.id, order.owner, order.token, order.side, qty, price, maker, at
        )
        self._book(order, trade)
        done = not order.remaining
        if done:
            order.status, order.ended_at = MATCHED, at
        self._log("fill" if done else "partial_fill", order, at, trade)
        self._touch(order)

    def _last_trade(self, order: Order) -> datetime:
        return next(trade.at for trade in reversed(self.trades) if trade.order_id == order.id)

    def _book(self, order: Order, trade: Trade) -> None:
        account, sign = self.account, 1 if trade.side == "BUY" else -1
        account.trades_count += 1
        account.cash -= sign * trade.qty * trade.price
        left = account.held.get(trade.token, Decimal(0)) + sign * trade.qty
        account.held[trade.token] = left
        if not left:
            del account.held[trade.token]
        order.matched += trade.qty
        order.trades.append(trade.id)
        self.trades.append(trade)
        self.changed[trade.id] = trade

    def _end(self, order: Order, at: datetime, event: str, reason: str = "") -> None:
        order.status, order.ended_at = CANCELED, at
        self._log(event, order, at, reason=reason)
        self._touch(order)

    def _touch(self, order: Order) -> None:
        self.changed[order.id] = order
        self.changed[self.account.environment] = self.account
        if not order.open:
            self.open.pop(order.id, None)

    def _log(self, event: str, order: Order, at: datetime, trade: Trade | None = None, reason: str = "") -> None:
        done = {} if trade is None else {"qty": str(trade.qty), "price": str(trade.price)}
        self._line(event, order, at, {"order_id": order.id, "reason": reason, **done})

    def _line(self, event: str, order: Order | Ticket, at: datetime, more: dict[str, str]) -> None:
        who = {"venue": "polymarket", "environment": self.account.environment, "account": self.account.number}
        what = {"order_id": "", "client_order_id": order.client_id, "symbol": order.token, "side": order.side.lower()}
        how = {"qty": str(order.qty), "price": str(order.price), "key_id": order.owner, "reason": ""}
        self._record({"time": stamp(at), **who, "event": event, **what, **how, **more})
