"""Key rotation: pending -> tested -> deployed -> current -> previous. Fingerprints in the ledger, values never."""

from __future__ import annotations

from ops.doors import Doors
from ops.errors import Refused, ResidueLeft, VenueError, Waiting
from ops.model.history import History
from ops.model.profile import Slot
from ops.secrets import Credentials
from ops.transitions.approval import Approver, approved, begin, fence_seen
from ops.transitions.conduct import ascend
from ops.transitions.lock import locked
from ops.transitions.preflight import Report, current_history, look
from ops.transitions.progress import Progress
from ops.venues.registry import open_venue

HUMAN_STEP = {
    "alpaca": (
        "Alpaca has no API for keys. In Alpaca's dashboard, on the {slot} account {account}, press Regenerate under "
        "API keys (the old key dies at once, so invoke kill first if the bots use it), then put the new pair into "
        "{path} (mode 0600) as two lines, KEY=... and SECRET=..., and run the same command again"
    ),
}


def take_in(doors: Doors, slot: Slot, history: History) -> str:
    """Tests the pending pair and makes it the stored current one; returns its fingerprint.

    Raises Waiting if no pair was handed in, Refused if the pair must not be used; then nothing has changed.
    """
    name = doors.profile.venue.slot(slot).credentials
    if not doors.secrets.has(name, "pending"):
        raise Waiting(human_step(doors, slot))
    pending = doors.credentials(slot, "pending")
    mark = pending.fingerprint(doors.secrets.salt())
    record(doors, slot, mark, "pending")
    _refuse_unfit(doors, slot, pending, mark, history)
    record(doors, slot, mark, "tested")
    former = doors.credentials(slot).fingerprint(doors.secrets.salt()) if doors.secrets.has(name) else ""
    doors.secrets.promote(name)
    doors._venues.clear()
    if former:
        record(doors, slot, former, "previous")
    return mark


def human_step(doors: Doors, slot: Slot) -> str:
    """What a person must do at the venue, in one sentence."""
    account = doors.profile.venue.slot(slot)
    path = doors.secrets.path(account.credentials, "pending")
    return HUMAN_STEP[doors.profile.venue.kind].format(slot=slot, account=account.account, path=path)


def _refuse_unfit(doors: Doors, slot: Slot, pending: Credentials, mark: str, history: History) -> None:
    """Authenticates, right environment, pinned account, may trade, differs from all other keys."""
    venue = doors.profile.venue
    former = {row["fingerprint"] for row in history.keys if row["state"] in ("current", "previous", "revoked")}
    if mark in former:
        raise Refused("the pending key was in use before", remedy=human_step(doors, slot))
    other: Slot = "paper" if slot == "live" else "live"
    other_name = venue.slot(other).credentials
    if doors.secrets.has(other_name) and doors.credentials(other).fingerprint(doors.secrets.salt()) == mark:
        raise Refused(f"the pending {slot} key is the {other} key", remedy=human_step(doors, slot))
    try:
        account = open_venue(venue, venue.slot(slot), pending).account()
    except VenueError as error:
        raise Refused(
            f"the pending {slot} key does not open the {slot} account: {error}",
            remedy="is it the other environment's key? " + human_step(doors, slot),
        ) from None
    if account.number != venue.slot(slot).account or account.paper != (slot == "paper"):
        raise Refused(f"the pending key opens account {account.number}, not {venue.slot(slot).account}")
    if account.blocked:
        raise Refused(f"account {account.number} is blocked: the key cannot trade")


def record(doors: Doors, slot: Slot, mark: str, state: str) -> None:
    """One change of state of one key, by fingerprint."""
    doors.ledger.append(
        "key.changed", {"system": doors.profile.system, "slot": slot, "fingerprint": mark, "state": state}
    )


def record_in_force(doors: Doors, slot: Slot) -> str:
    """The stored key of a slot now runs on every host: recorded once per key; returns its fingerprint."""
    mark = doors.credentials(slot).fingerprint(doors.secrets.salt())
    states = [row["state"] for row in current_history(doors).keys if row["fingerprint"] == mark]
    if "current" not in states:
        record(doors, slot, mark, "deployed")
        record(doors, slot, mark, "current")
    return mark


def prove_dead(doors: Doors, slot: Slot) -> str:
    """Whether the venue still takes the previous key: '' if it is dead, else what is left to do."""
    name = doors.profile.venue.slot(slot).credentials
    if not doors.secrets.has(name, "previous"):
        return ""
    previous = doors.credentials(slot, "previous")
    try:
        open_venue(doors.profile.venue, doors.profile.venue.slot(slot), previous).account()
    except VenueError as error:
        if error.status in (401, 403):
            record(doors, slot, previous.fingerprint(doors.secrets.salt()), "revoked")
            return ""
        return f"whether the former {slot} key is dead is UNKNOWN: {error}"
    return f"the former {slot} key still works: revoke it in the venue's dashboard"


def rotate_keys(doors: Doors, progress: Progress, approve: Approver, slot: Slot) -> str:
    """Puts a new key in force. If the slot is the one the bots use: halted, in one rename, proven in the process."""
    with locked(doors, "rotate-keys"):
        history, _ = begin(doors, progress, "rotate-keys", "")
        in_force: Slot = "live" if history.live else "paper"
        mark = take_in(doors, slot, history) if _to_take_in(doors, slot, in_force) else ""
        if slot != in_force:
            return f"the new {slot} key {mark} is tested and stored; it goes to the hosts with the next go-live"
        report = Report(look(doors), ())
        plan = approved(doors, progress, "rotate-keys", history.stage, report, approve)
        ascend(doors, progress, "rotate-keys", history.stage, plan, fence_seen(report.sight.replies))
        mark = record_in_force(doors, slot)
        left = prove_dead(doors, slot)
        if left:
            raise ResidueLeft(
                f"the new {slot} key {mark} is in force, the former one is not proven dead", residue=(left,)
            )
        return f"the new {slot} key {mark} is in force on every host and the former one is dead; the bots are tripped"


def _to_take_in(doors: Doors, slot: Slot, in_force: Slot) -> bool:
    """Raises Waiting if there is neither a pending pair nor one that was taken in and not yet deployed."""
    name = doors.profile.venue.slot(slot).credentials
    if doors.secrets.has(name, "pending"):
        return True
    history = current_history(doors)
    mark = doors.credentials(slot).fingerprint(doors.secrets.salt())
    states = [row["state"] for row in history.keys if row["fingerprint"] == mark]
    if slot == in_force and states and states[-1] == "tested":
        return False
    raise Waiting(human_step(doors, slot))
