"""`invoke restart`."""

from __future__ import annotations

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import Told, operator_task


@operator_task(changes=True, help={"env": ENV_HELP, "system": SYSTEMS_HELP, "json": JSON_HELP})
def restart(env: str = "", system: str = "", json: bool = False) -> Told:
    """Recreate every service, so that it reads its env file anew, and prove that mode and key are the same as before.

    The bots come back tripped: letting them trade is always a step of its own (invoke rearm).
    Exit codes: 0 restarted and proven, 2 bad input, 3 refused, 5 failed and back on paper + tripped, 6 residue.
    Page: runbooks/restart.md
    """
    from ops.tasks.several import each_system

    return each_system(env, system, lambda e, s: _one(e, s, json), json, raises=True)


def _one(env: str, system: str, json: bool) -> Told:
    from ops.provider import ensure_up
    from ops.tasks.opening import keep_kill_ready, open_doors
    from ops.tasks.progress import shown
    from ops.transitions.restart import restart as run

    doors = open_doors(env, system)
    with shown(json) as progress:
        ensure_up(doors, progress.note)
        keep_kill_ready(doors)
        stage = run(doors, progress)
    name, hosts = doors.profile.system, len(doors.profile.hosts)
    said = f"{name} was restarted on {hosts} hosts, is at stage {stage} as before, and tripped. Next: invoke rearm"
    return Told(said,
                document={"system": name, "stage": stage, "switch": "tripped"})  # fmt: skip
