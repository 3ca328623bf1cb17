"""Cancel: no order of the account is open any more. Nothing undoes it; the bot places new ones when it is re-armed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from ops.doors import Doors
from ops.errors import InputError, VenueError
from ops.model.profile import Slot
from ops.model.step import Ended
from ops.model.zero import ZeroProof
from ops.steps.run import Run
from ops.venues.protocol import OrderView, VenueActor

ZERO_MAX_SECONDS = 25.0
READ_EVERY_SECONDS = 0.25
CANCEL_AGAIN_SECONDS = 3.0
LOOK_UPS_MAX = 25
"""More look-ups one by one would break the rate limits that the cancelling needs (Alpaca: 200 a minute)."""
KEY_REFUSED = (401, 403)
Answer = TypeVar("Answer")


@dataclass
class _Seen:
    """What was seen of the accounts of one venue."""

    said: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def cancel_in_force(run: Run) -> Ended:
    """Cancels with the keys that are in force now."""
    return _cancel(run, lambda venue: (run.slot_from,))


def cancel_both(run: Run) -> Ended:
    """Cancels on both accounts of every venue, the live one first. One without a key is left out only if nothing of
    ours can be there: the account in force without its key is UNKNOWN, never done.

    If a host is not proven tripped, the venue itself is asked to refuse its orders first; rearm lifts that again.
    """
    slots: tuple[Slot, ...] = ("live", "paper")
    return _cancel(run, lambda venue: tuple(s for s in slots if s == run.slot_from or run.doors.may_open(venue, s)))


def _cancel(run: Run, held: Callable[[str], Sequence[Slot]]) -> Ended:
    """All venues at the same time: one that hangs delays no other."""
    seen = run.doors.each_venue(lambda venue: _at_venue(run, venue, held(venue)))
    parts = list(seen.values())
    said = "; ".join(text for part in parts for text in part.said)
    filled, foreign = ([x for p in parts for x in getattr(p, name)] for name in ("filled", "foreign"))
    problems = tuple(text for part in parts for text in part.problems)
    return Ended(said or "no account to cancel on", problems, {"filled_meanwhile": filled, "not_ours": foreign})


def _at_venue(run: Run, venue: str, slots: Sequence[Slot]) -> _Seen:
    seen = _Seen()
    if "trip" not in run.proven:
        for slot in slots:
            _halt_at_the_venue(run, venue, slot)
    for slot in slots:
        name = run.doors.account_name(venue, slot)
        try:
            _account(run, venue, slot, seen)
        except (InputError, VenueError) as error:
            seen.problems.append(f"{name}: UNKNOWN: {error}")
    return seen


def _halt_at_the_venue(run: Run, venue: str, slot: Slot) -> None:
    """The last brake for a host that cannot be reached; what it did not do, the cancelling will show."""
    with contextlib.suppress(VenueError, InputError):
        actor = run.doors.actor(venue, slot)
        if actor.latches:
            actor.set_suspended(True)


def _account(run: Run, venue: str, slot: Slot, seen: _Seen) -> None:
    """One account to proven zero; whatever could not be shown is a problem."""
    doors, name = run.doors, run.doors.account_name(venue, slot)
    ways, began = doors.ways_down(venue, slot), doors.clock()
    meant = ways[0]
    proof, named = _to_zero(doors, ways)
    actor = ways[0]
    if not proof.proven:
        left = [named[order] for order in sorted(proof.left or ()) if order in named]
        names = ", ".join(doors.order_name(venue, order) for order in left)
        seen.problems.append(f"{name}: {proof.problem}{': ' + names if names else ''}")
    calls = {order.id: doors.order_name(venue, order) for order in named.values()}
    seen.problems += [f"{name}: {text}" for text in _lost(actor, named, calls)]
    seen.filled += _filled_meanwhile(actor, began, named, calls)
    ours = doors.own_orders(venue, slot)
    foreign = [o for o in named.values() if not o.client_id.startswith(ours)]
    seen.foreign += [f"{calls[o.id]} {o.symbol} {o.side} {o.qty}" for o in foreign]
    what = f"{len(named)} orders {'cancelled' if proof.proven else 'asked to cancel'}"
    what += f" ({len(foreign)} not ours)" if foreign else ""
    what += " with the bot's own key" if actor is not meant else ""
    seen.said.append(f"{name} {what}, {'zero open twice' if proof.proven else 'NOT zero'}")


def _to_zero(doors: Doors, ways: list[VenueActor]) -> tuple[ZeroProof, dict[str, OrderView]]:
    """Asks to cancel until two consecutive reads show nothing open, or the deadline passes.

    It looks first, so that whose orders they were is known, and it asks once whatever the look showed: a list that
    fails or hides orders must not keep them alive. A way whose key the venue refuses goes to the end of the row.
    """
    until, ask_again = doors.monotonic() + ZERO_MAX_SECONDS, 0.0
    proof, named = ZeroProof(), {}
    while not proof.proven and doors.monotonic() < until:
        try:
            newest, oldest = _by_any(ways, lambda way: (way.open_orders(True), way.open_orders(False)))
            named.update({order.id: order for order in (*newest, *oldest)})
            proof = proof.read({o.id for o in newest}, {o.id for o in oldest})
        except VenueError as error:
            proof = proof.failed(f"UNKNOWN: {error}")
        if not proof.proven and doors.monotonic() >= ask_again:
            ask_again = doors.monotonic() + CANCEL_AGAIN_SECONDS
            with contextlib.suppress(VenueError):  # what it did not do, the next look shows
                _by_any(ways, lambda way: way.cancel_all())
        if not proof.proven:
            doors.pause(READ_EVERY_SECONDS)
    return proof, named


def _by_any(ways: list[VenueActor], ask: Callable[[VenueActor], Answer]) -> Answer:
    """The answer by the first way whose key the venue takes; that one stays the first. Raises VenueError."""
    for _ in ways[1:]:
        try:
            return ask(ways[0])
        except VenueError as error:
            if error.status not in KEY_REFUSED:
                raise
            ways.append(ways.pop(0))
    return ask(ways[0])


def _lost(actor: VenueActor, named: Mapping[str, OrderView], calls: Mapping[str, str]) -> list[str]:
    """The orders that were seen, looked up by their own ids: a list that hides them does not hide them here.

    Of very many as many as may be asked for, spread over all: a list that is too old is caught by any of them.
    """
    lost = []
    for order in list(named.values())[:: -(-len(named) // LOOK_UPS_MAX) or 1]:
        try:
            now = actor.order(order.id)
        except VenueError as error:
            lost.append(f"{calls[order.id]}: UNKNOWN: {error}")
            continue
        lost += [f"{calls[order.id]} is still {now.status}"] if now.open else []
    return lost


def _filled_meanwhile(
    actor: VenueActor, began: datetime, named: Mapping[str, OrderView], calls: Mapping[str, str]
) -> list[str]:
    """The orders that traded while they were being cancelled: for the record, so an answer that is lost is said so."""
    if not named:
        return []
    try:
        return [f"{calls[f.order_id]} {f.symbol} {f.side} {f.qty}" for f in actor.fills_since(began)
                if f.order_id in named]  # fmt: skip
    except VenueError as error:
        return [f"UNKNOWN: {error}"]
