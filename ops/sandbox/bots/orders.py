"""From a signal to an order and back: decide, record, look, send once, follow up, cancel."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from .audit import Audit, Decision, OwnOrder
from .clock import Clock, day_start
from .risk import Exposure, refusal
from .settings import Settings
from .signals import Holding, Signal, client_order_id, propose
from .venue import NewOrder, Quote, Venue, VenueError, VenueOrder, VenueRefused

_GONE_AFTER = timedelta(seconds=2)
"""How long after sending a "no such order" is believed: before that the venue may simply be slow."""
_FILLS_WINDOW = timedelta(hours=2)
_DUPLICATE = "duplicate: "


class Outcome(NamedTuple):
    """What became of a signal, as recorded."""

    word: str
    reason: str

    @property
    def duplicate(self) -> bool:
        return self.word == "refused" and self.reason.startswith(_DUPLICATE)


class OrderDesk:
    """The only place that sends or cancels. Not thread-safe, but `cancel_own` is: it takes its own venue."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        venue: Venue,
        audit: Audit,
        log: logging.Logger,
        halted: Callable[[], str | None],
    ) -> None:
        """`halted` answers why nothing may be sent at this very moment, or None."""
        self._settings, self._clock, self._venue = settings, clock, venue
        self._audit, self._log, self._halted = audit, log, halted
        self._fills_due = True
        self.results: Counter[str] = Counter()
        self.fills_recorded = 0

    # a signal's way out

    def consider(self, signal: Signal, quote: Quote | None, market_open: bool) -> Outcome:
        """Take one signal through the whole pipeline; returns what was recorded last."""
        client_id = client_order_id(signal, self._settings.order_prefix)
        if self._audit.order_status(client_id) is not None:
            return self._record(signal, "refused", f"{_DUPLICATE}this signal already led to an order")
        if signal.intent == "hold":
            return self._record(signal, "hold", "no signal")
        if stopped := self._halted():
            return self._record(signal, "refused", stopped)
        if not market_open:
            return self._record(signal, "refused", "market closed")
        if quote is None:
            return self._record(signal, "refused", "no quote")
        order = self._proposal(signal, quote)
        if isinstance(order, str):
            return self._record(signal, "hold", order)
        if reason := self._beyond_limits(order) or self._already_at_venue(order):
            return self._record(signal, "refused", reason, order)
        self._record(signal, "submit", "", order)
        return self._send(signal, order)

    def _proposal(self, signal: Signal, quote: Quote) -> NewOrder | str:
        resting = sum(order.symbol == signal.symbol for order in self._audit.working())
        holding = Holding(self._audit.held(signal.symbol), resting)
        return propose(signal, quote, holding, self._settings.size_multiplier, self._settings.order_prefix)

    def _record(self, signal: Signal, outcome: str, reason: str, order: NewOrder | None = None) -> Outcome:
        decision = Decision(self._clock.now(), signal.symbol, signal.signal_id, signal.intent, outcome, reason, order)
        self._audit.decide(decision)
        self.results["refused"] += outcome == "refused"
        return Outcome(outcome, reason)

    def _beyond_limits(self, order: NewOrder) -> str | None:
        open_buys = [o.qty for o in self._audit.working() if o.symbol == order.symbol and o.side == "buy"]
        exposure = Exposure(
            qty=sum(open_buys, self._audit.held(order.symbol)),
            orders_today=self._audit.orders_since(day_start(self._clock.now())),
        )
        return refusal(order.side, order.qty, order.limit_price, exposure, self._settings.limits)

    def _already_at_venue(self, order: NewOrder) -> str | None:
        """The second look before sending: the own table may be younger than the venue's."""
        try:
            found = self._venue.find_order(order.client_order_id)
        except VenueError as error:
            return f"lookup failed: {error}"
        return None if found is None else f"{_DUPLICATE}the venue has it as {found.order_id}"

    def _send(self, signal: Signal, order: NewOrder) -> Outcome:
        """Send once. After a lost answer the order is `unknown`: `settle` looks it up, nobody resends it."""
        client_id = order.client_order_id
        if stopped := self._halted():
            self._audit.update_order(client_id, "not_sent", self._clock.now())
            return self._record(signal, "refused", stopped, order)
        self._fills_due = True
        try:
            seen = self._venue.submit(order)
        except VenueRefused as error:
            if "client_order_id must be unique" not in str(error):
                return self._rejected(signal, order, error)
            return self._lost(signal, order, error)
        except VenueError as error:
            return self._lost(signal, order, error)
        self._audit.update_order(client_id, seen.status, self._clock.now(), seen.order_id)
        self.results["accepted"] += 1
        self._log.info("order %s %s %s %s: %s", client_id, order.side, order.qty, order.symbol, seen.status)
        return Outcome("submit", "")

    def _rejected(self, signal: Signal, order: NewOrder, error: VenueError) -> Outcome:
        self._audit.update_order(order.client_order_id, "rejected", self._clock.now())
        self.results["rejected"] += 1
        self._log.warning("order %s rejected: %s", order.client_order_id, error)
        return self._record(signal, "rejected", str(error), order)

    def _lost(self, signal: Signal, order: NewOrder, error: VenueError) -> Outcome:
        self._audit.update_order(order.client_order_id, "unknown", self._clock.now())
        self.results["unknown"] += 1
        self._log.warning("order %s unknown, will be looked up: %s", order.client_order_id, error)
        return self._record(signal, "unknown", str(error), order)

    # following up

    def settle(self) -> None:
        """Bring the own tables up to the venue's: lost answers first, then states, then fills.

        Raises VenueError if the venue cannot be read; what was learnt until then is kept.
        """
        for order in self._audit.unresolved():
            self._resolve(order)
        self._follow(self._audit.working())
        if self._fills_due or self._audit.fills_awaited(self._clock.now() - _FILLS_WINDOW):
            self._fetch_fills()

    def _resolve(self, order: OwnOrder) -> None:
        found = self._venue.find_order(order.client_order_id)
        now = self._clock.now()
        if found is not None:
            self._note(order, found)
            self._log.info("order %s found at the venue: %s", order.client_order_id, found.status)
        elif now - datetime.fromisoformat(order.at) >= _GONE_AFTER:
            self._audit.update_order(order.client_order_id, "not_accepted", now)
            self._log.info("order %s never reached the venue", order.client_order_id)

    def _follow(self, working: list[OwnOrder]) -> None:
        if not working:
            return
        listed = {order.client_order_id: order for order in self._venue.open_orders()}
        for order in working:
            # One that is not listed is either done or hidden by the list: only its own page tells.
            seen = listed.get(order.client_order_id) or self._venue.order(order.order_id)
            self._note(order, seen)

    def _note(self, order: OwnOrder, seen: VenueOrder) -> None:
        if seen.status == order.status:
            return
        self._audit.update_order(order.client_order_id, seen.status, self._clock.now(), seen.order_id)
        self._fills_due = True

    def _fetch_fills(self) -> None:
        known_until = self._audit.fills_known_until()
        if known_until is not None:
            self.fills_recorded += self._audit.record_fills(self._venue.fills(known_until))
        partly = any(order.status == "partially_filled" for order in self._audit.working())
        self._fills_due = partly

    # stopping

    def cancel_own(self, venue: Venue) -> int:
        """Ask the venue to cancel each own open order, listed or only known here; returns how many.

        Other people's orders on the account are left alone. A refusal (already done) is passed over;
        VenueUnknown is raised after the rest was asked too.
        """
        prefix = self._settings.order_prefix
        targets = {order.order_id: order.status for order in self._audit.working() if order.order_id}
        lost: VenueError | None = None
        try:
            listed = venue.open_orders()
            targets.update({o.order_id: o.status for o in listed if o.client_order_id.startswith(prefix)})
        except VenueError as error:
            lost = error
        asked = 0
        for order_id, status in targets.items():
            if status == "pending_cancel":
                continue
            try:
                venue.cancel(order_id)
                asked += 1
            except VenueRefused as error:
                self._log.info("cancel of %s refused: %s", order_id, error)
            except VenueError as error:
                lost = error
        if asked:
            self._log.info("asked the venue to cancel %d own open orders", asked)
        if lost is not None:
            raise lost
        return asked
