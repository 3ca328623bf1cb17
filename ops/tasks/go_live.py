"""`invoke go-live`."""

from __future__ import annotations

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import Told, operator_task


@operator_task(
    changes=True,
    help={
        "env": ENV_HELP,
        "system": SYSTEMS_HELP,
        "plan": "run this plan and no other; refuse if it is stale",
        "requester": "who asks, if not the login name; whoever asks never counts as a signer",
        "json": JSON_HELP,
    },
)
def go_live(env: str = "", system: str = "", plan: str = "", requester: str = "", json: bool = False) -> Told:
    """Take a system from paper to the first live stage, or exactly back.

    Preflight, plan, signatures, then: trip, cancel, snapshot, host deadline, flip, prove, testinfra, health audit,
    reconcile, rearm. Refuses unless everything is proven. Whatever fails on the way ends in verified paper + tripped
    (exit 5), or says what could not be proven (exit 6). Run again when it is live, it has nothing to do.
    Several systems go one after the other; none is begun behind one that turned back. The exit code is the worst.
    Exit codes: 0 live, 2 bad input, 3 refused, 4 waits for signatures, 5 failed and safe, 6 residue.
    Page: runbooks/go-live.md
    """
    from ops.tasks.several import each_system

    return each_system(env, system, lambda e, s: _one(e, s, plan, requester, json), json, raises=True)


def _one(env: str, system: str, plan: str, requester: str, json: bool) -> Told:
    from ops.provider import approver, ensure_up
    from ops.tasks.opening import keep_kill_ready, open_doors
    from ops.tasks.progress import shown
    from ops.tasks.sentence import standing
    from ops.transitions.go_live import go_live as run

    doors = open_doors(env, system, requester)
    with shown(json) as progress:
        ensure_up(doors, progress.note)
        keep_kill_ready(doors)
        raised = run(doors, progress, approver(doors), plan)
        keep_kill_ready(doors)
    said = standing(doors, raised)
    return Told(said, document={"system": doors.profile.system, "stage": raised.stage, "plan": raised.plan,
                                "signers": dict(raised.signers), "checks": dict(raised.counts),
                                "nothing_to_do": raised.nothing_to_do})  # fmt: skip
