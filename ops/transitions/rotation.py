"""Key rotation: pending -> tested -> deployed -> current -> previous. Fingerprints in the ledger, values never.

A system has one key per venue and host, or one per venue for all hosts: each that is pending is rotated, all together.
"""

from __future__ import annotations

from ops.doors import Doors
from ops.errors import Refused, ResidueLeft, VenueError, Waiting
from ops.model.history import History
from ops.model.profile import Slot
from ops.model.traits import TRAITS
from ops.secrets import Credentials
from ops.transitions.approval import Approver, approved, begin, fence_seen, refuse_dark, refuse_shut
from ops.transitions.conduct import Began, ascend
from ops.transitions.lock import locked
from ops.transitions.preflight import current_history, look, recreation_gate
from ops.transitions.progress import Progress


def keys_of(doors: Doors, slot: Slot) -> list[tuple[str, str]]:
    """(venue, name of the credentials), each name once."""
    names = {n: venue for venue in doors.profile.venues for n in doors.profile.bot_keys(venue, slot).values()}
    return [(venue, name) for name, venue in names.items()]


def take_in_pending(doors: Doors, slot: Slot, history: History) -> list[str]:
    """Tests every pending key, and only when all are fit makes them the stored current ones; returns fingerprints.

    Raises Refused if one of them must not be used; then none has changed.
    """
    salt = doors.secrets.salt()
    waiting = [(v, n, doors.secrets.credentials(n, "pending")) for v, n in keys_of(doors, slot)
               if doors.secrets.has(n, "pending")]  # fmt: skip
    for venue, _, pending in waiting:
        record(doors, slot, pending.fingerprint(salt), "pending")
        _refuse_unfit(doors, venue, slot, pending, history)
    for _, name, pending in waiting:
        record(doors, slot, pending.fingerprint(salt), "tested")
        former = doors.secrets.credentials(name).fingerprint(salt) if doors.secrets.has(name) else ""
        doors.secrets.promote(name)
        if former:
            record(doors, slot, former, "previous")
    doors.forget_keys()
    return [pending.fingerprint(salt) for _, _, pending in waiting]


def human_step(doors: Doors, venue: str, slot: Slot, name: str) -> str:
    """What a person must do at the venue, in one sentence."""
    setting = doors.profile.venues[venue]
    how = TRAITS[setting.kind].new_key.format(slot=slot, account=setting.slot(slot).account)
    path = doors.secrets.path(name, "pending")
    return (
        f"{how}, then put the new pair into {path} (mode 0600) as two lines, KEY=... and SECRET=... (and what else the "
        "present one holds), and run the same command again"
    )


def _refuse_unfit(doors: Doors, venue: str, slot: Slot, pending: Credentials, history: History) -> None:
    """Authenticates, right environment, pinned account, may trade, differs from all other keys."""
    salt, step = doors.secrets.salt(), human_step(doors, venue, slot, pending.name)
    mark, pinned = pending.fingerprint(salt), doors.profile.venues[venue].slot(slot).account
    if mark in {row["fingerprint"] for row in history.keys if row["state"] in ("current", "previous", "revoked")}:
        raise Refused("the pending key was in use before", remedy=step)
    other: Slot = "paper" if slot == "live" else "live"
    others = [name for _, name in keys_of(doors, other) if doors.secrets.has(name)]
    if mark in {doors.secrets.credentials(name).fingerprint(salt) for name in others}:
        raise Refused(f"the pending {slot} key is the {other} key", remedy=step)
    try:
        account = doors.bot_reader(venue, slot, pending).account()
    except VenueError as error:
        raise Refused(
            f"the pending {slot} key does not open the {slot} account: {error}",
            remedy="is it the other environment's key? " + step,
        ) from None
    if account.number != pinned or account.paper not in (None, slot == "paper"):
        raise Refused(f"the pending key opens account {account.number}, not {pinned}")
    if account.blocked:
        raise Refused(f"account {account.number} is blocked: the key cannot trade")


def record(doors: Doors, slot: Slot, mark: str, state: str) -> None:
    """One change of state of one key, by fingerprint."""
    doors.ledger.append(
        "key.changed", {"system": doors.profile.system, "slot": slot, "fingerprint": mark, "state": state}
    )


def record_in_force(doors: Doors, slot: Slot) -> list[str]:
    """The stored keys of a slot now run on every host: recorded once per key; returns their fingerprints."""
    salt, history = doors.secrets.salt(), current_history(doors)
    marks = [doors.secrets.credentials(name).fingerprint(salt) for _, name in keys_of(doors, slot)]
    for mark in marks:
        if "current" not in [row["state"] for row in history.keys if row["fingerprint"] == mark]:
            record(doors, slot, mark, "deployed")
            record(doors, slot, mark, "current")
    return marks


def prove_dead(doors: Doors, slot: Slot) -> list[str]:
    """What is left to do about former keys that the venues may still take; empty if every one is dead."""
    return [
        left
        for venue, name in keys_of(doors, slot)
        if doors.secrets.has(name, "previous") and (left := _still_alive(doors, venue, slot, name))
    ]


def _still_alive(doors: Doors, venue: str, slot: Slot, name: str) -> str:
    previous = doors.secrets.credentials(name, "previous")
    called = f"the former {doors.account_name(venue, slot)} key"
    try:
        doors.bot_reader(venue, slot, previous).account()
    except VenueError as error:
        if error.status in (401, 403):
            record(doors, slot, previous.fingerprint(doors.secrets.salt()), "revoked")
            return ""
        return f"whether {called} is dead is UNKNOWN: {error}"
    return f"{called} still works: revoke it in the venue's dashboard"


def rotate_keys(doors: Doors, progress: Progress, approve: Approver, slot: Slot) -> str:
    """Puts new keys in force. If the slot is the one the bots use: halted, in one rename, proven in the process."""
    with locked(doors, "rotate-keys"):
        history, _ = begin(doors, progress, "rotate-keys", "")
        in_force: Slot = "live" if history.live else "paper"
        taken = take_in_pending(doors, slot, history) or _taken_before(doors, slot, in_force)
        called = f"the new {slot} key {', '.join(taken)}"
        if slot != in_force:
            return f"{called} is tested and stored; it goes to the hosts with the next go-live"
        report = recreation_gate(look(doors))
        refuse_dark(report.sight.replies)
        refuse_shut(report)
        plan = approved(doors, progress, "rotate-keys", history.stage, report, approve)
        ascend(doors, progress, "rotate-keys", history.stage, plan, Began(fence_seen(report.sight.replies)))
        record_in_force(doors, slot)
        left = prove_dead(doors, slot)
        if left:
            raise ResidueLeft(f"{called} is in force, the former one is not proven dead", residue=tuple(left))
        return f"{called} is in force on every host and the former one is dead; the bots are tripped"


def _taken_before(doors: Doors, slot: Slot, in_force: Slot) -> list[str]:
    """The keys that were taken in and are not yet deployed. Raises Waiting if there are none."""
    keys = keys_of(doors, slot)
    if not keys:
        raise Waiting(f"no venue of {doors.profile.system} knows keys: there is nothing to rotate")
    history, salt, found = current_history(doors), doors.secrets.salt(), []
    for _, name in keys:
        mark = doors.secrets.credentials(name).fingerprint(salt) if doors.secrets.has(name) else ""
        states = [row["state"] for row in history.keys if row["fingerprint"] == mark]
        found += [mark] if slot == in_force and states and states[-1] == "tested" else []
    if not found:
        venue, name = keys[0]
        raise Waiting(human_step(doors, venue, slot, name))
    return found
