"""The words around a way down, for rollback and flip-mode."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ops.errors import InputError, InterlockError
from ops.tasks.opening import chosen_place, chosen_systems, doors_of, keep_kill_ready
from ops.tasks.progress import shown
from ops.tasks.telling import Told

if TYPE_CHECKING:
    from ops.doors import Doors
    from ops.inventory import Place


def _doors(where: Place, name: str) -> tuple[Doors, str]:
    """By the inventory as it is; if that has been broken, by its last good copy, since the way down never waits."""
    try:
        return doors_of(where, name), ""
    except InputError as error:
        kept = replace(where, inventory=where.last_good)
        if not (where.last_good / "systems" / f"{name}.yml").exists():
            raise
        return doors_of(kept, name), f"going by the last good copy of the inventory, since {error.text()}"


def lowered(verb: str, env: str, system: str, adopt: str, flatten: bool, json: bool) -> Told:
    """Takes every system that is meant down, one after the other, and says where they stand."""
    from ops.provider import ensure_up
    from ops.tasks.asking import typed_name
    from ops.transitions.conduct import Descent
    from ops.transitions.rollback import rollback

    where = chosen_place(env)
    sentences, document = [], {}
    for name in chosen_systems(where, system):
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
        sentences.append(f"{name} is on PAPER and tripped on {len(doors.profile.hosts)} hosts, proven; {done}")
        document[name] = {"stage": "paper", "switch": "tripped", "was": end.was, "nothing_to_do": end.nothing_to_do}
    return Told(f"{'; '.join(sentences)}. Next: invoke status | invoke rearm", document={"systems": document})
