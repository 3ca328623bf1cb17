"""Closes what a kill left: after zero open orders is proven, one reducing order per position at a time, journaled.

Not part of `interlock-kill`: this is the one thing here that needs a venue's client library. Only live accounts are
flattened, since that is where money is. A closing order is sent only if no earlier one of this operation can still
trade, and always for the size that the venue shows at that moment: it can reduce a position, never turn it over.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

from ops.doors import utc_now
from ops.errors import InputError, VenueError
from ops.kill.errand import Errand
from ops.kill.journal import Journal
from ops.kill.keys import keys_for
from ops.kill.kill import SystemEnd
from ops.kill.targets import Target, VenueTarget, read_targets
from ops.kill.venues import Say
from ops.ledger.store import Ledger, LedgerUnavailable
from ops.model.canonical import utc_time
from ops.model.profile import Account, Kind
from ops.network import enter
from ops.venues.protocol import Keys, OrderView, PositionView, VenueActor
from ops.venues.registry import open_venue

FLAT_MAX_SECONDS = 30.0
ORDERS_MAX = 5
PAUSE_SECONDS = 0.25
LOST_SECONDS = 2.0
"""An order whose answer was lost may take so long to be found; only then is it taken for one that never arrived."""
SKEW = timedelta(minutes=1)


@dataclass
class Flattening:
    """How one account came out: flat was seen twice, or what is left of it, each as a text."""

    account: str
    flat: bool = False
    residue: list[str] = field(default_factory=list)


def flatten_system(
    state: Path, ended: SystemEnd, reason: str, actor: str, say: Say, seconds: float = FLAT_MAX_SECONDS
) -> list[str]:
    """Flattens what the kill left of one system; returns the residue. Recorded in the ledger, if that takes it."""
    targets, broken = read_targets(state, [ended.system])
    try:
        enter(targets[0].network if targets else None)
        journal = Journal(state, ended.system, lambda: token_hex(6), utc_now)
        ends = flatten(targets[0], ended, journal, say, seconds) if targets else []
    except InputError as error:
        return [f"{ended.system}: not flattened: {error.text()}"]
    residue = [*broken, *(f"{ended.system} {end.account} account: {text}" for end in ends for text in end.residue)]
    row = {"system": ended.system, "operation": journal.operation, "reason": reason, "residue": residue}
    with suppress(LedgerUnavailable):  # the journal tells the same
        Ledger(state / "ledger.sqlite", actor, utc_now).append("flatten.done", row)
    return residue


def flatten(target: Target, ended: SystemEnd, journal: Journal, say: Say, seconds: float) -> list[Flattening]:
    """Flattens every live account that the kill was meant for and proved to have zero open orders; the rest is residue.

    A bot that is not proven tripped could open again what is closed, so then nothing is.
    """
    loose = [f"not flattened: {host.host} is not proven tripped" for host in ended.hosts if not host.tripped]
    seen = {venue.account: venue.verified for venue in ended.venues if venue.slot == "live"}
    meant = [venue for venue in target.venues if venue.name in seen]
    if loose:
        return [Flattening(venue.name, False, loose) for venue in meant]
    errands = [Errand(partial(_account, venue, seen[venue.name], journal, say, seconds)) for venue in meant]
    until = time.monotonic() + seconds + FLAT_MAX_SECONDS
    ends = [errand.end(until, partial(_unknown, venue)) for venue, errand in zip(meant, errands, strict=True)]
    if all(end.flat for end in ends):
        journal.over()
    return ends


def _unknown(venue: VenueTarget, why: str) -> Flattening:
    return Flattening(venue.name, False, [f"UNKNOWN whether it is flat: {why}"])


def _account(venue: VenueTarget, zero: bool, journal: Journal, say: Say, seconds: float) -> Flattening:
    end = Flattening(venue.name)
    if not zero:
        end.residue.append("not flattened: an order that is still open could turn a closed position over")
        return end
    try:
        actor = _actor(venue)
        if actor.latches and actor.positions() and actor.account().suspended:
            journal.lifted(venue)
            actor.set_suspended(False)
        Closing(venue, actor, journal).run(end, seconds)
        if actor.latches:  # whoever lifted it, maybe a flatten that was cut off
            _halt_again(actor, end)
    except (VenueError, InputError) as error:
        end.residue.append(f"UNKNOWN whether it is flat: {error}")
    say(f"{venue.name}: {'flat' if end.flat else 'NOT flat'}")
    return end


def _halt_again(actor: VenueActor, end: Flattening) -> None:
    try:
        actor.set_suspended(True)
    except VenueError as error:
        end.residue.append(f"the venue's halt was lifted for closing and is not proven set again: {error}")


def _actor(venue: VenueTarget) -> VenueActor:
    """A kill key may not open orders, and closing is opening the other way round: that takes the bot's."""
    bot, problems = keys_for("bot", venue.bot_files[0] if venue.bot_files else venue.kill_file, venue.bot_files[1:])
    reads, _ = keys_for("observer", venue.observer_file or venue.kill_file, venue.bot_files)
    cancels, _ = keys_for("kill", venue.kill_file, venue.bot_files)
    if not (bot and reads and cancels):
        raise InputError("; ".join(problems) or "no usable key")
    keys = Keys(bot[0].credentials, reads[0].credentials, cancels[0].credentials)
    return open_venue(cast(Kind, venue.kind), Account(endpoint=venue.endpoint, account=venue.account), keys)


class Closing:
    """One account's positions on their way to flat."""

    def __init__(self, venue: VenueTarget, actor: VenueActor, journal: Journal) -> None:
        self._venue, self._actor, self._journal = venue, actor, journal

    def run(self, end: Flattening, seconds: float) -> None:
        """Round after round until flat is seen twice, or the time is up; a lost answer is looked up in the next one."""
        until = time.monotonic() + seconds
        held: Sequence[PositionView] | None = None
        problem, flat_seen = "", 0
        while flat_seen < 2 and time.monotonic() < until:
            try:
                held = self._actor.positions()
                flat_seen = 0 if held else flat_seen + 1
                for position in held:
                    self._step(position)
                problem = ""
            except VenueError as error:
                flat_seen, problem = 0, f" ({error})"
            time.sleep(PAUSE_SECONDS)
        end.flat = flat_seen >= 2
        if not end.flat:
            end.residue += [f"{p.symbol} {p.qty} is still held{problem}{self._withdrawn(p)}" for p in held or ()]
            end.residue += [] if held else [f"UNKNOWN whether it is flat{problem}"]

    def _step(self, position: PositionView) -> None:
        """One look at a position's newest closing order: wait for it, send it again, or send the next one."""
        before = self._journal.last(self._venue, position.symbol)
        if before is None:
            self._send_next(position)
            return
        order = self._actor.order_by_client_id(before["client_id"])
        if order is None:
            if self._journal.age_seconds(before) > LOST_SECONDS:
                self._actor.close_position(position, before["client_id"])
        elif not order.open and before["number"] < ORDERS_MAX and not self._is_behind(position, before, order):
            self._send_next(position)

    def _send_next(self, position: PositionView) -> None:
        client_id = self._journal.intend(self._venue, position.symbol, str(position.qty))
        self._actor.close_position(position, client_id)

    def _is_behind(self, position: PositionView, before: Mapping[str, Any], order: OrderView) -> bool:
        """The order has filled, but the list of positions shows what it showed before: it is too old to be used."""
        if str(position.qty) != before["qty"]:
            return False
        fills = self._actor.fills_since(utc_time(before["at"]) - SKEW)
        return any(fill.order_id == order.id for fill in fills)

    def _withdrawn(self, position: PositionView) -> str:
        """A closing order that has not filled in time is cancelled: nothing is left to trade while nobody watches."""
        before = self._journal.last(self._venue, position.symbol)
        if before is None:
            return ""
        try:
            order = self._actor.order_by_client_id(before["client_id"])
            if order is None or not order.open:
                return ""
            self._actor.cancel(order.id)
        except VenueError as error:
            return f"; whether its closing order is still open is UNKNOWN: {error}"
        return f"; its closing order ({order.status}) did not fill and is cancelled"
