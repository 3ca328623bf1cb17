"""Positions: never left to nobody.

Recorded and adopted by a named person, or closed with consent. A trade has no undo.
"""

from __future__ import annotations

import contextlib

from ops.errors import DoorError, InputError, VenueError
from ops.model.canonical import digest
from ops.model.profile import Slot
from ops.model.step import Ended
from ops.steps.run import Run
from ops.venues.protocol import PositionView, VenueActor

FLAT_MAX_SECONDS = 20.0


def positions(run: Run) -> Ended:
    """Reads the positions of every venue; with consent to flatten, closes each live one with an order of a derived id.

    A flatten is always of the live account, also when the system is on paper already: that is where money is.
    """
    slot: Slot = "live" if run.flatten else run.slot_from
    seen = run.doors.each_venue(lambda venue: _at_venue(run, venue, slot))
    unknown = tuple(held for held in seen.values() if isinstance(held, str))
    texts = {
        venue: {p.symbol: str(p.qty) for p in held}
        for venue, held in seen.items()
        if not isinstance(held, str) and held
    }
    named = [f"{symbol} {qty}{_where(run, venue)}" for venue, held in texts.items() for symbol, qty in held.items()]
    evidence = {"positions": texts, "adopter": run.adopter if named else ""}
    if run.flatten:
        return Ended(
            "not flat" if named or unknown else "flat", (*unknown, *(f"{n} is still open" for n in named)), texts
        )
    if named and not run.adopter:
        return Ended("nobody adopts them", (*unknown, *(f"{n} has no owner" for n in named)), texts)
    said = f"{', '.join(named)}: adopted by {run.adopter}" if named else "positions unknown" if unknown else "flat"
    return Ended(said, unknown, evidence)


def _where(run: Run, venue: str) -> str:
    return "" if len(run.doors.profile.venues) == 1 else f" at {venue}"


def _at_venue(run: Run, venue: str, slot: Slot) -> list[PositionView] | str:
    """What is held at one venue in the end, or why that is not known: one unknown venue hides no other."""
    try:
        actor, held = _held(run, venue, slot)
        if held and run.flatten:
            if actor.latches and actor.account().suspended:
                actor.set_suspended(False)  # the venue's halt refuses closing orders too; every bot is tripped
            held = _flatten(run, venue, actor, held)
        return held
    except (DoorError, InputError) as error:
        return f"{run.doors.account_name(venue, slot)} positions: UNKNOWN: {error}"


def _held(run: Run, venue: str, slot: Slot) -> tuple[VenueActor, list[PositionView]]:
    """What is held, and by which way it could be asked for."""
    *first, last = run.doors.ways_down(venue, slot)
    for actor in first:
        with contextlib.suppress(VenueError):
            return actor, list(actor.positions())
    return last, list(last.positions())


def _flatten(run: Run, venue: str, actor: VenueActor, held: list[PositionView]) -> list[PositionView]:
    """The id comes from the transition, the venue and the symbol, so a resumed flatten sends nothing twice.

    18 lower-case letters and digits: the narrowest form that any venue takes (Kraken; venues 3.5).
    """
    for position in held:
        mark = digest(f"{run.transition} {venue} {position.symbol}")[:16]
        actor.close_position(position, f"il{mark}")
    until = run.doors.monotonic() + FLAT_MAX_SECONDS
    while held and run.doors.monotonic() < until:
        run.doors.pause(0.25)
        held = list(actor.positions())
    return held
