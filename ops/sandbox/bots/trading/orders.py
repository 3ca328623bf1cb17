"""From a signal to an order and back: decide, record, look, send once, follow up, cancel."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from ..audit import Audit, Decision, OwnOrder
from ..clock import Clock, day_start
from ..settings import Settings
from ..venue import NewOrder, Quote, Venue, VenueError, VenueOrder, VenueRefused
from .habits import Proposal
from .risk import Exposure, refusal
from .signals import Holding, Signal, Ticket, propose

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


@dataclass(frozen=True)
class Say:
    """Who has a say in an order besides the limits: `halted` answers why nothing may be sent at this very moment,
    `refuse` why this order may not; None each time is yes."""

    halted: Callable[[], str | None]
    refuse: Callable[[Proposal], str | None]


class OrderDesk:
    """The only place that sends or cancels. Not thread-safe, but `cancel_own` is: it takes its own venue."""

    def __init__(
        self, settings: Settings, clock: Clock, venues: Mapping[str, Venue], audit: Audit, log: logging.Logger, say: Say
    ) -> None:
        """`venues` by name; the settings say which symbol is traded where."""
        self._settings, self._clock, self._venues = settings, clock, venues
        self._audit, self._log, self._say = audit, log, say
        self._fills_due = dict.fromkeys(venues, True)
        self.results: Counter[str] = Counter()
        self.fills_recorded = 0

    # a signal's way out

    def consider(self, signal: Signal, quote: Quote | None, market_open: bool) -> Outcome:
        """Take one signal through the whole pipeline; returns what was recorded last."""
        if self._audit.order_status(self.client_id(signal)) is not None:
            return self._record(signal, "refused", f"{_DUPLICATE}this signal already led to an order")
        if signal.intent == "hold":
            return self._record(signal, "hold", "no signal")
        if stopped := self._say.halted():
            return self._record(signal, "refused", stopped)
        if not market_open:
            return self._record(signal, "refused", "market closed")
        if quote is None:
            return self._record(signal, "refused", "no quote")
        order = self._proposal(signal, quote)
        if isinstance(order, str):
            return self._record(signal, "hold", order)
        if reason := self._objection(order):
            return self._record(signal, "refused", reason, order)
        self._record(signal, "submit", "", order)
        return self._send(signal, order)

    def client_id(self, signal: Signal) -> str:
        """The one id an order of this signal can ever have: what makes a second submission a refused duplicate."""
        return self._venue_of(signal.symbol).client_id(self._settings.order_prefix, signal.digest)

    def _venue_of(self, symbol: str) -> Venue:
        return self._venues[self._settings.symbols[symbol]]

    def _proposal(self, signal: Signal, quote: Quote) -> NewOrder | str:
        resting = sum(order.symbol == signal.symbol for order in self._audit.working())
        holding = Holding(self._audit.held(signal.symbol), resting)
        settings, grid = self._settings, self._venue_of(signal.symbol).grid(signal.symbol)
        most = settings.limits.order_notional_max_usd
        ticket = Ticket(self.client_id(signal), grid, settings.sizing, settings.size_multiplier, most)
        return propose(signal, quote, holding, ticket)

    def _record(self, signal: Signal, outcome: str, reason: str, order: NewOrder | None = None) -> Outcome:
        venue, now = self._settings.symbols[signal.symbol], self._clock.now()
        reason = self._settings.blotted(reason)
        decision = Decision(now, venue, signal.symbol, signal.signal_id, signal.intent, outcome, reason, order)
        self._audit.decide(decision)
        self.results["refused"] += outcome == "refused"
        return Outcome(outcome, reason)

    def _objection(self, order: NewOrder) -> str | None:
        """The limits first, then the venue, then the bot's own rules: an approval is not used up by a duplicate."""
        exposure = self._exposure(order.symbol)
        limits, venue = self._settings.limits, self._settings.symbols[order.symbol]
        beyond = refusal(order.side, order.qty, order.limit_price, exposure, limits)
        return beyond or self._already_at_venue(order) or self._say.refuse(Proposal(order, venue, exposure))

    def _exposure(self, symbol: str) -> Exposure:
        open_buys = [o.qty for o in self._audit.working() if o.symbol == symbol and o.side == "buy"]
        return Exposure(
            qty=sum(open_buys, self._audit.held(symbol)),
            orders_today=self._audit.orders_since(day_start(self._clock.now())),
            at_stake_usd=self._audit.at_stake_usd(),
        )

    def _already_at_venue(self, order: NewOrder) -> str | None:
        """The second look before sending: the own table may be younger than the venue's."""
        try:
            found = self._venue_of(order.symbol).find_order(order.client_order_id)
        except VenueError as error:
            return f"lookup failed: {error}"
        return None if found is None else f"{_DUPLICATE}the venue has it as {found.order_id}"

    def _send(self, signal: Signal, order: NewOrder) -> Outcome:
        """Send once. After a lost answer the order is `unknown`: `settle` looks it up, nobody resends it."""
        client_id = order.client_order_id
        if stopped := self._say.halted():
            self._audit.update_order(client_id, "not_sent", self._clock.now())
            return self._record(signal, "refused", stopped, order)
        self._fills_due[self._settings.symbols[order.symbol]] = True
        try:
            seen = self._venue_of(order.symbol).submit(order)
        except VenueRefused as error:
            # A refused duplicate is an accepted order: the client may have sent twice by itself.
            if self._already_at_venue(order) is None:
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
        working = self._audit.working()
        for name, venue in self._venues.items():
            self._follow(venue, [order for order in working if order.venue == name])
            if self._fills_due[name] or self._audit.fills_awaited(name, self._clock.now() - _FILLS_WINDOW):
                self._fetch_fills(name, venue)

    def _resolve(self, order: OwnOrder) -> None:
        found = self._venues[order.venue].find_order(order.client_order_id)
        now = self._clock.now()
        if found is not None:
            self._note(order, found)
            self._log.info("order %s found at the venue: %s", order.client_order_id, found.status)
        elif now - datetime.fromisoformat(order.at) >= _GONE_AFTER:
            self._audit.update_order(order.client_order_id, "not_accepted", now)
            self._log.info("order %s never reached the venue", order.client_order_id)

    def _follow(self, venue: Venue, working: list[OwnOrder]) -> None:
        if not working:
            return
        listed = {order.client_order_id: order for order in venue.open_orders()}
        for order in working:
            # One that is not listed is either done or hidden by the list: only its own page tells.
            seen = listed.get(order.client_order_id) or venue.order(order.order_id)
            self._note(order, seen)

    def _note(self, order: OwnOrder, seen: VenueOrder) -> None:
        if seen.status == order.status:
            return
        self._audit.update_order(order.client_order_id, seen.status, self._clock.now(), seen.order_id)
        self._fills_due[order.venue] = True

    def _fetch_fills(self, name: str, venue: Venue) -> None:
        known_until = self._audit.fills_known_until(name)
        if known_until is not None:
            self.fills_recorded += self._audit.record_fills(venue.fills(known_until))
        partly = any(o.status == "partially_filled" and o.venue == name for o in self._audit.working())
        self._fills_due[name] = partly

    # stopping

    def cancel_own(self, name: str, venue: Venue) -> int:
        """Ask one venue to cancel each own open order, listed or only known here; returns how many.

        Other people's orders on the account are left alone. A refusal (already done) is passed over;
        VenueUnknown is raised after the rest was asked too.
        """
        prefix = self._settings.order_prefix
        working = [order for order in self._audit.working() if order.venue == name]
        targets = {order.order_id: order.status for order in working if order.order_id}
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
