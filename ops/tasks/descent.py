"""The words around a way down, for rollback and flip-mode."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ops.errors import InputError, InterlockError
from ops.tasks.opening import chosen_place, chosen_systems, doors_of, keep_kill_ready, one_system, restless
from ops.tasks.progress import shown
from ops.tasks.several import over
from ops.tasks.telling import Told

if TYPE_CHECKING:
    from ops.doors import Doors
    from ops.inventory import Place


def _doors(where: Place, name: str) -> tuple[Doors, str]:
    """By the inventory as it is; if that cannot be read, by its last good copy, since the way down never waits.

    A fault of our own in the reading is no reason to wait either.
    """
    try:
        return doors_of(where, name), ""
    except Exception as error:
        kept = replace(where, inventory=where.last_good)
        if not (where.last_good / "systems" / f"{name}.yml").exists():
            raise
        why = error.text() if isinstance(error, InputError) else f"reading it failed ({type(error).__name__})"
        return doors_of(kept, name), f"going by the last good copy of the inventory, since {why}"


def lowered(verb: str, env: str, system: str, adopt: str, flatten: bool, json: bool) -> Told:
    """Takes every system that is meant down, one after the other, and says where each stands.

    One that cannot be proven down keeps no other from going down.
    """
    where = chosen_place(env)
    return over(where.name, _meant(where, system), lambda e, s: _one(where, s, verb, adopt, flatten, json), json)


def _meant(where: Place, system: str) -> list[str]:
    """The named ones; else what is live or in transition, and what else is up, in case somebody flipped it by hand."""
    from ops.ledger.store import LedgerUnavailable

    found = chosen_systems(where, system)
    if system or len(found) == 1:
        return found
    try:
        first = restless(where)
    except LedgerUnavailable:
        return found
    return [*first, *(name for name in found if name not in first and _up(where, name))] or [one_system(where, "")]


def _up(where: Place, name: str) -> bool:
    """Whether the machines of a system run; one whose inventory is broken may well."""
    from ops.provider import refuse_asleep

    try:
        doors, _ = _doors(where, name)
    except InputError:
        return True
    try:
        refuse_asleep(doors)
    except InputError:
        return False
    return True


def _one(where: Place, name: str, verb: str, adopt: str, flatten: bool, json: bool) -> Told:
    from ops.provider import ensure_up
    from ops.tasks.asking import typed_name
    from ops.transitions.conduct import Descent
    from ops.transitions.rollback import rollback

    doors, warning = _doors(where, name)
    if adopt and adopt != doors.requester and adopt not in doors.people:
        known = ", ".join(doors.people)
        raise InputError("--adopt names nobody known", expected=f"one of: {known}", seen=adopt)
    if flatten:
        typed_name(name, f"This closes every position of {name} by market orders.")
    with shown(json) as progress:
        if warning:
            progress.note(warning)
        try:
            ensure_up(doors, progress.note)
            keep_kill_ready(doors)
        except (InterlockError, OSError) as error:
            progress.note(f"not everything could be made ready, going down all the same: {error}")
        end = rollback(doors, progress, Descent(verb, adopt or doors.requester, flatten))
    done = f"nothing to do ({end.was})" if end.nothing_to_do else f"rolled back from {end.was}"
    sentence = f"{name} is on PAPER and tripped on {len(doors.profile.hosts)} hosts, proven; {done}"
    document = {"stage": "paper", "switch": "tripped", "was": end.was, "nothing_to_do": end.nothing_to_do}
    return Told(f"{sentence}. Next: invoke status | invoke rearm", document={"systems": {name: document}})
