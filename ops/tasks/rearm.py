"""`invoke rearm`."""

from __future__ import annotations

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import Told, operator_task


@operator_task(
    changes=True,
    help={"env": ENV_HELP, "system": SYSTEMS_HELP, "plan": "run this plan and no other", "json": JSON_HELP,
          "requester": "who asks, if not the login name"},
)  # fmt: skip
def rearm(env: str = "", system: str = "", plan: str = "", requester: str = "", json: bool = False) -> Told:
    """Let a tripped system trade again in the mode it is in, under signatures of its own.

    A live system that is tripped trades live again. Asks first whether mode, account, release and reconciliation hold,
    then lifts the halt on every host, only if nobody tripped it anew meanwhile.
    Exit codes: 0 armed, 2 bad input, 3 refused, 4 waits for signatures, 5 failed and back on paper + tripped,
    6 residue. Page: runbooks/rearm.md
    """
    from ops.tasks.several import each_system

    return each_system(env, system, lambda e, s: _one(e, s, plan, requester, json), json, raises=True)


def _one(env: str, system: str, plan: str, requester: str, json: bool) -> Told:
    from ops.provider import approver, ensure_up
    from ops.tasks.opening import keep_kill_ready, open_doors
    from ops.tasks.progress import shown
    from ops.tasks.sentence import standing
    from ops.transitions.rearm import rearm as run

    doors = open_doors(env, system, requester)
    with shown(json) as progress:
        ensure_up(doors, progress.note)
        keep_kill_ready(doors)
        raised = run(doors, progress, approver(doors), plan)
    return Told(
        standing(doors, raised), document={"system": doors.profile.system, "stage": raised.stage, "plan": raised.plan}
    )
