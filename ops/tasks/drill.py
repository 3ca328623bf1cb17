"""`invoke drill`."""

from __future__ import annotations

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import DONE, REFUSED, Told, operator_task


@operator_task(
    changes=True,
    help={
        "control": "one drill of the profile, or `alert`; default: every one that is due",
        "env": ENV_HELP,
        "system": SYSTEMS_HELP,
        "json": JSON_HELP,
    },
)
def drill(control: str = "", env: str = "", system: str = "", json: bool = False) -> Told:
    """Rehearse: drive a control to its limit on paper and see the bot halt, replay signals, send an alert.

    What a drill shows is recorded and opens the gate until it is too old. Drills that could trade run on paper only.
    Exit codes: 0 as expected, 2 no such drill, 3 a drill did not end as it must. Page: runbooks/drill.md
    """
    from ops.tasks.several import each_system

    return each_system(env, system, lambda e, s: _one(e, s, control, json), json)


def _one(env: str, system: str, control: str, json: bool) -> Told:
    from ops.provider import ensure_up
    from ops.tasks.opening import keep_kill_ready, open_doors
    from ops.tasks.progress import shown
    from ops.transitions.drills import due, run_drills
    from ops.transitions.lock import locked
    from ops.transitions.preflight import look

    doors = open_doors(env, system)
    with shown(json) as progress, locked(doors, "drill"):
        ensure_up(doors, progress.note)
        keep_kill_ready(doors)
        names = [control] if control else due(look(doors))
        results = run_drills(doors, progress, names)
    bad = [name for name, ended in results.items() if not ended.proven]
    said = (
        f"{', '.join(bad)} did NOT end as expected"
        if bad
        else f"{len(results)} drills ended as expected"
        if results
        else "no drill is due"
    )
    document = {name: {"proven": e.proven, "seen": e.seen, "problems": list(e.problems)} for name, e in results.items()}
    return Told(
        f"{doors.profile.system}: {said}. Next: invoke preflight",
        document={"drills": document},
        code=REFUSED if bad else DONE,
    )
