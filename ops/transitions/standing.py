"""Where a system stands: what the ledger says, what hosts and venue show, and where the two disagree."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

from ops.checks.control import fleet_mode, fleet_switch
from ops.checks.sight import Sight, loaded_values, take_sight
from ops.doors import Doors
from ops.errors import DoorError, InputError
from ops.hosts.reply import Reply, is_behind_its_gate, loop_age_seconds, mode_reading, switch_state
from ops.ledger.store import LedgerUnavailable
from ops.model.history import History
from ops.model.mode import Mode, Switch
from ops.model.profile import Slot
from ops.transitions.preflight import current_history


def stand(doors: Doors) -> dict[str, Any]:
    """One document: stage, hosts, accounts, disagreements, and the sentence. Asks, changes nothing."""
    history = _history(doors)
    sight = take_sight(doors, history, doors.fleet.look(), timedelta(hours=1))
    disagreements = _disagreements(doors, sight, history)
    document = {
        "system": doors.profile.system,
        "environment": doors.place.name,
        "stage": history.stage,
        "since": history.since,
        "plan": history.plan,
        "mode": str(fleet_mode(sight)),
        "switch": str(fleet_switch(sight)),
        "hosts": {host: _host(sight, reply) for host, reply in sight.replies.items()},
        "accounts": {doors.account_name(v, s): _account(sight, v, s) for v, s in doors.accounts(*get_args(Slot))},
        "interrupted": [f"{t.verb} {t.id}" for t in history.interrupted],
        "residue": list(history.residue),
        "disagreements": disagreements,
    }
    return {**document, "sentence": _sentence(doors, sight, history, disagreements)}


def _history(doors: Doors) -> History:
    """A ledger that cannot be read must not hide what the hosts show."""
    try:
        return current_history(doors)
    except LedgerUnavailable as error:
        return History(doors.profile.system, residue=(str(error),))


def _host(sight: Sight, reply: Reply) -> dict[str, str]:
    reading = mode_reading(reply.look, sight.profile)
    loaded = loaded_values(reply.look, sight.profile)
    age = loop_age_seconds(reply.look, sight.profile)
    deadline = (reply.look.get("deadline") or {}).get("at", "")
    return {
        "declared": str(reading.declared),
        "loaded": str(reading.loaded),
        "observed": str(reading.observed),
        "switch": str(switch_state(reply.look, sight.profile)),
        "gate": "set" if reply.look.get("gate") else "not set" if reply.reached else "unknown",
        "size": str(loaded.get(sight.profile.size.variable, "unknown")),
        "loop_age_seconds": "unknown" if age is None else f"{age:.1f}",
        "deadline": deadline,
    }


def _account(sight: Sight, venue: str, slot: Slot) -> str:
    try:
        account, orders = sight.account(venue, slot), sight.open_orders(venue, slot)
        held = ", ".join(f"{p.symbol} {p.qty}" for p in sight.positions(venue, slot)) or "flat"
    except DoorError as error:
        return f"UNKNOWN: {error}"
    except InputError:
        return "no key yet"
    halt = ", halted at the venue" if account.suspended else ""
    return f"account {account.number}, {account.equity_usd:.2f} USD, {len(orders)} open orders, {held}{halt}"


def _disagreements(doors: Doors, sight: Sight, history: History) -> list[str]:
    """What must not be so: an interrupted transition, residue, or hosts that show another mode than the ledger says."""
    found = [f"{t.verb} {t.id} was interrupted: invoke rollback brings it to a safe end" for t in history.interrupted]
    found += [f"unproven since the last transition: {text}" for text in history.residue]
    found += [f"{host} does not answer: {reply.error}" for host, reply in sight.replies.items() if not reply.look]
    expected = Mode.LIVE if history.live else Mode.PAPER
    mode = fleet_mode(sight)
    if mode is not expected:
        found.append(f"the ledger says {history.stage}, the hosts show mode {mode}")
    if fleet_switch(sight) is Switch.UNKNOWN:
        found.append("the switch is unknown or not the same on every host")
    found += _unsafe(doors, sight, history)
    found += [f"{h}: its own deadline is running" for h, r in sight.replies.items() if r.look.get("deadline")]
    return found


def _open_orders(sight: Sight, venue: str) -> int:
    """How many are open on the account in force; none where that is unknown, which is told for itself."""
    try:
        return len(sight.open_orders(venue, sight.slot))
    except (DoorError, InputError):
        return 0


def _unsafe(doors: Doors, sight: Sight, history: History) -> list[str]:
    """A venue that does not answer, orders while nobody may trade, a loop that stands still, a kill left unproven."""
    found = []
    for venue, slot in doors.accounts(*get_args(Slot)):
        told = _account(sight, venue, slot)
        found += [f"{doors.account_name(venue, slot)} account {told}"] if told.startswith("UNKNOWN") else []
    if fleet_switch(sight) is Switch.TRIPPED:
        left = sum(_open_orders(sight, venue) for venue in sight.profile.venues)
        found += [f"{left} orders are open while every bot is tripped"] if left else []
    limit = sight.profile.health.loop_age_max_seconds
    for host, reply in sight.replies.items():
        age = loop_age_seconds(reply.look, sight.profile)
        waits = is_behind_its_gate(reply.look, sight.profile)
        if reply.look and not waits and (age is None or age > limit):
            found.append(f"{host}: its loop last turned {'at an unknown time' if age is None else f'{age:.0f} s ago'}")
    last = history.kills[-1] if history.kills else None
    ended = max((t.closed_at for t in history.transitions.values()), default="")
    if last and last["residue"] and last["at"] > ended:
        found.append(f"the kill at {last['at'][11:19]}Z left {len(last['residue'])} things unproven")
    return found


def _sentence(doors: Doors, sight: Sight, history: History, disagreements: list[str]) -> str:
    name = doors.profile.system
    if disagreements:
        return (
            f"{name}: ledger and world do NOT agree ({len(disagreements)} points). Next: invoke rollback | invoke kill"
        )
    switch, hosts = fleet_switch(sight), len(sight.replies)
    if history.live:
        size = doors.profile.stage(history.stage).size_pct
        nxt = "invoke rollback" if switch is Switch.ARMED else "invoke rearm | invoke rollback"
        where = f"{name} is LIVE at stage {history.stage} ({size} % size) and {switch} on {hosts} hosts"
        return f"{where} since {history.since[11:19]}Z. Next: {nxt}"
    nxt = "invoke go-live" if switch is Switch.ARMED else "invoke rearm | invoke go-live"
    return f"{name} is on PAPER and {switch} on {hosts} hosts. Next: {nxt}"
