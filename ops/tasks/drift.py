"""`invoke drift`."""

from __future__ import annotations

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import DONE, REFUSED, Told, operator_task


@operator_task(help={"env": ENV_HELP, "system": SYSTEMS_HELP, "json": JSON_HELP})
def drift(env: str = "", system: str = "", json: bool = False) -> Told:
    """Compare the hosts with what they showed when the last transition was committed.

    Env file, release, unit, keys, mode by three readings, size, switch, machine. Reads; changes nothing. A host that
    does not answer, or a fact that is not shown, counts as drift: it is unknown.
    Exit codes: 0 no drift, 2 bad input, 3 drift. Page: runbooks/drift.md
    """
    from ops.tasks.several import each_system

    return each_system(env, system, _one, json)


def _one(env: str, system: str) -> Told:
    from ops.provider import refuse_asleep
    from ops.tasks.opening import keep_kill_ready, open_doors
    from ops.transitions.drift import drift as compare

    doors = open_doors(env, system)
    refuse_asleep(doors)
    keep_kill_ready(doors)
    found = compare(doors)
    name, bad = doors.profile.system, len(found.drifts)
    state = f"{bad} things are NOT as committed" if bad else f"no drift on {found.hosts} hosts"
    nxt = "invoke status | invoke rollback" if bad else "invoke status"
    return Told(
        f"{name} at {found.stage}: {state}. Next: {nxt}",
        [f"DRIFT  {text}" for text in found.drifts],
        {"system": name, "stage": found.stage, "drift": [one.as_dict() for one in found.drifts]},
        REFUSED if bad else DONE,
    )
