"""One venue account brought to zero open orders: proven by two clean reads, and by each order's own state."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.errors import InputError
from ops.kill.alpaca import CLOSED, AlpacaBrake, VenueSilent
from ops.kill.targets import VenueTarget
from ops.model.zero import ZeroProof
from ops.secrets import Credentials, Secrets

VENUE_MAX_SECONDS = 20.0
READ_EVERY_SECONDS = 0.2
CANCEL_AGAIN_SECONDS = 2.0


@dataclass
class VenueEnd:
    """How one account ended. `verified` means: zero open orders, seen; everything else is residue."""

    slot: str
    sent: bool = False
    acknowledged: bool = False
    verified: bool = False
    suspended: bool = False
    named: int = 0
    foreign: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    positions: list[str] | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The one word for the table."""
        words = ((self.verified, "verified zero"), (self.acknowledged, "acknowledged"), (self.sent, "sent"))
        return next((word for holds, word in words if holds), "UNKNOWN")


def stop_venue(target: VenueTarget) -> VenueEnd:
    """Suspends, cancels, and reads until zero is proven or the deadline passes. Never raises for the venue's sake."""
    end = VenueEnd(target.slot)
    try:
        brake = _brake(target)
    except (InputError, KeyError) as error:
        end.problems.append(f"no usable key: {error.text() if isinstance(error, InputError) else error}")
        return end
    end.sent = True
    _to_zero(brake, target, end)
    _last_reads(brake, target, end)
    return end


def _brake(target: VenueTarget) -> AlpacaBrake:
    """With the key in force; if the venue refuses it and a new one waits, with that: a key that was just regenerated
    at the venue is dead before the new one is in force."""
    path = Path(target.credentials_file)
    store, name = Secrets(path.parent), path.name.removesuffix(".env")
    brake = _with_key(target, store.credentials(name))
    if store.has(name, "pending"):
        try:
            brake.account()
        except VenueSilent as error:
            return _with_key(target, store.credentials(name, "pending")) if "HTTP 40" in str(error) else brake
    return brake


def _with_key(target: VenueTarget, credentials: Credentials) -> AlpacaBrake:
    return {"alpaca": AlpacaBrake}[target.kind](target.endpoint, *credentials.values())


def _to_zero(brake: AlpacaBrake, target: VenueTarget, end: VenueEnd) -> None:
    """Every path is tried again until the deadline: what fails once (a 429, a time-out) may work the next time."""
    until, again = time.monotonic() + VENUE_MAX_SECONDS, 0.0
    proof = ZeroProof()
    orders: dict[str, Mapping[str, Any]] = {}
    while not (proof.proven and end.suspended) and time.monotonic() < until:
        if time.monotonic() >= again:
            _suspend(brake, end)
            _cancel(brake, end, orders)
            again = time.monotonic() + CANCEL_AGAIN_SECONDS
        try:
            newest, oldest = brake.open_orders(True), brake.open_orders(False)
            orders.update({row["id"]: row for row in (*newest, *oldest)})
            proof = proof.read({row["id"] for row in newest}, {row["id"] for row in oldest})
            proof = _look_up_each(brake, orders, proof) if proof.clean_reads else proof
        except VenueSilent as error:
            proof = proof.failed(str(error))
        time.sleep(0 if proof.proven and end.suspended else READ_EVERY_SECONDS)
    end.verified, end.named = proof.proven, len(orders)
    own = target.order_prefixes
    end.foreign = [_told(row) for row in orders.values() if not str(row.get("client_order_id")).startswith(own)]
    if not proof.proven:
        end.left = [f"{_told(orders[o])} ({orders[o].get('status')})" for o in sorted(proof.left or ())]
        end.problems.append(f"zero open orders not proven within {VENUE_MAX_SECONDS:.0f} s: {proof.problem}")


def _suspend(brake: AlpacaBrake, end: VenueEnd) -> None:
    """The venue's own halt must not keep us from cancelling."""
    if not end.suspended:
        try:
            brake.suspend()
            end.suspended = True
        except VenueSilent as error:
            end.problems = [*[p for p in end.problems if not p.startswith("suspend")], f"suspend_trade: {error}"]


def _cancel(brake: AlpacaBrake, end: VenueEnd, orders: dict[str, Mapping[str, Any]]) -> None:
    """A lost answer must not keep us from looking."""
    with contextlib.suppress(VenueSilent):
        for order in brake.cancel_all():
            orders.setdefault(order, {"id": order})
        end.acknowledged = True


def _look_up_each(brake: AlpacaBrake, orders: dict[str, Mapping[str, Any]], proof: ZeroProof) -> ZeroProof:
    """A list that hides an order does not hide it from its own id; one that has ended is not asked for again."""
    for order, row in orders.items():
        if row.get("status") not in CLOSED:
            orders[order] = brake.order(order)
    still = frozenset(order for order, row in orders.items() if row.get("status") not in CLOSED)
    return ZeroProof(0, still, f"{len(still)} orders that the list does not show have not ended") if still else proof


def _last_reads(brake: AlpacaBrake, target: VenueTarget, end: VenueEnd) -> None:
    try:
        number = brake.account()
        if number != target.account:
            end.problems.append(f"the key opens account {number}, not {target.account}")
            end.verified = False
    except VenueSilent as error:
        end.problems.append(f"which account the key opens is UNKNOWN: {error}")
        end.verified = False
    try:
        end.positions = list(brake.positions())
    except VenueSilent as error:
        end.problems.append(f"positions UNKNOWN: {error}")
    if end.suspended:
        end.problems = [problem for problem in end.problems if not problem.startswith("suspend")]


def _told(row: Mapping[str, Any]) -> str:
    return f"{row.get('client_order_id')} {row.get('symbol')} {row.get('side')} {row.get('qty')}"
