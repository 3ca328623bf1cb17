"""Cancel: no order of the account is open any more. Nothing undoes it; the bot places new ones when it is re-armed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ops.doors import Doors
from ops.errors import InputError, VenueError
from ops.model.profile import Slot
from ops.model.step import Ended
from ops.model.zero import ZeroProof
from ops.steps.run import Run
from ops.venues.protocol import CLOSED, OrderView, VenueActor

ZERO_MAX_SECONDS = 25.0
READ_EVERY_SECONDS = 0.25
CANCEL_AGAIN_SECONDS = 3.0


def cancel_in_force(run: Run) -> Ended:
    """Cancels with the key that is in force now."""
    return _cancel(run, (run.slot_from,))


def cancel_both(run: Run) -> Ended:
    """Cancels on both accounts, the live one first. One without a key is left out only if nothing of ours can be there:
    the account in force without its key is UNKNOWN, never done.

    If a host is not proven tripped, the venue itself is asked to refuse its orders first; rearm lifts that again.
    """
    secrets, venue = run.doors.secrets, run.doors.profile.venue
    slots: tuple[Slot, ...] = ("live", "paper")
    held = tuple(s for s in slots if s == run.slot_from or secrets.has(venue.slot(s).credentials))
    if "trip" not in run.proven:
        for slot in held:
            _halt_at_the_venue(run, slot)
    return _cancel(run, held)


def _halt_at_the_venue(run: Run, slot: Slot) -> None:
    """The last brake for a host that cannot be reached; what it did not do, the cancelling will show."""
    with contextlib.suppress(VenueError, InputError):
        run.doors.actor(slot).set_suspended(True)


def _cancel(run: Run, slots: Sequence[Slot]) -> Ended:
    seen, problems = [], []
    filled: list[str] = []
    others: list[str] = []
    for slot in slots:
        try:
            proof, named = _to_zero(run.doors, run.doors.actor(slot))
        except InputError as error:
            problems.append(f"{slot}: UNKNOWN: {error.text()}")
            continue
        if not proof.proven:
            names = ", ".join(_name(named, order) for order in sorted(proof.left or ()))
            problems.append(f"{slot}: {proof.problem}{': ' + names if names else ''}")
        late, lost = _ends(run.doors.actor(slot), named)
        filled += late
        problems += [f"{slot}: {text}" for text in lost]
        foreign = _foreign(run, named)
        others += foreign
        what = f"{len(named)} orders cancelled" if proof.proven else f"{len(named)} orders asked to cancel"
        what += f" ({len(foreign)} not ours)" if foreign else ""
        seen.append(f"{slot} {what}, {'zero open twice' if proof.proven else 'NOT zero'}")
    return Ended(
        "; ".join(seen) or "no account to cancel on", tuple(problems), {"filled_meanwhile": filled, "not_ours": others}
    )


def _to_zero(doors: Doors, actor: VenueActor) -> tuple[ZeroProof, dict[str, OrderView]]:
    """Asks to cancel until two consecutive reads show nothing open, or the deadline passes."""
    until, ask_again = doors.monotonic() + ZERO_MAX_SECONDS, 0.0
    proof, named = ZeroProof(), {}
    while not proof.proven and doors.monotonic() < until:
        try:
            newest, oldest = actor.open_orders(True), actor.open_orders(False)
            named.update({order.id: order for order in (*newest, *oldest)})
            proof = proof.read({o.id for o in newest}, {o.id for o in oldest})
            if proof.left and doors.monotonic() >= ask_again:
                ask_again = doors.monotonic() + CANCEL_AGAIN_SECONDS
                actor.cancel_all()
        except VenueError as error:
            proof = proof.failed(f"UNKNOWN: {error}")
        if not proof.proven:
            doors.pause(READ_EVERY_SECONDS)
    return proof, named


def _ends(actor: VenueActor, named: dict[str, OrderView]) -> tuple[list[str], list[str]]:
    """Each order that was seen, looked up by its own id: a list that hides it does not hide it here."""
    filled, lost = [], []
    for order in named.values():
        try:
            now = actor.order(order.id)
        except VenueError as error:
            lost.append(f"{order.client_id}: UNKNOWN: {error}")
            continue
        if now.status not in CLOSED:
            lost.append(f"{order.client_id} is still {now.status}")
        elif now.status == "filled":
            filled.append(f"{order.client_id} {order.symbol} {order.side} {order.qty}")
    return filled, lost


def _foreign(run: Run, named: dict[str, OrderView]) -> list[str]:
    """Orders of the account that no bot of the system placed: cancelled with the rest, so they are named."""
    prefixes = tuple(host.order_prefix for host in run.doors.profile.hosts.values())
    return [
        f"{o.client_id} {o.symbol} {o.side} {o.qty}" for o in named.values() if not o.client_id.startswith(prefixes)
    ]


def _name(named: dict[str, OrderView], order: str) -> str:
    view = named.get(order)
    return view.client_id if view else order
