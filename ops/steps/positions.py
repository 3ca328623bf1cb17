"""Positions: never left to nobody.

Recorded and adopted by a named person, or closed with consent. A trade has no undo.
"""

from __future__ import annotations

from ops.errors import DoorError
from ops.model.profile import Slot
from ops.model.step import Ended
from ops.steps.run import Run
from ops.venues.protocol import PositionView, VenueActor

FLAT_MAX_SECONDS = 20.0


def positions(run: Run) -> Ended:
    """Reads the positions; with consent to flatten, closes each live one with one order of a derived id.

    A flatten is always of the live account, also when the system is on paper already: that is where money is.
    """
    slot: Slot = "live" if run.flatten else run.slot_from
    try:
        actor = run.doors.actor(slot)
        held = list(actor.positions())
        if held and run.flatten:
            if actor.account().suspended:
                actor.set_suspended(False)  # the venue's halt refuses closing orders too; every bot is tripped
            held = _flatten(run, actor, held)
    except DoorError as error:
        return Ended("positions unknown", (f"{slot} positions: UNKNOWN: {error}",))
    texts = {p.symbol: str(p.qty) for p in held}
    if held and run.flatten:
        return Ended("not flat", tuple(f"{symbol} {qty} is still open" for symbol, qty in texts.items()), texts)
    if held and not run.adopter:
        return Ended("nobody adopts them", tuple(f"{s} {q} has no owner" for s, q in texts.items()), texts)
    said = ", ".join(f"{symbol} {qty}" for symbol, qty in texts.items())
    seen = f"{said}: adopted by {run.adopter}" if held else "flat"
    return Ended(seen, (), {"positions": texts, "adopter": run.adopter if held else ""})


def _flatten(run: Run, actor: VenueActor, held: list[PositionView]) -> list[PositionView]:
    """The id comes from the transition and the symbol, so a resumed flatten sends nothing twice."""
    for position in held:
        actor.close_position(position, f"il-{run.transition}-{position.symbol}"[:48])
    until = run.doors.monotonic() + FLAT_MAX_SECONDS
    while held and run.doors.monotonic() < until:
        run.doors.pause(0.25)
        held = list(actor.positions())
    return held
