"""`invoke health-audit`."""

from __future__ import annotations

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import DONE, REFUSED, Told, operator_task


@operator_task(name="health-audit", help={"env": ENV_HELP, "system": SYSTEMS_HELP, "json": JSON_HELP})
def health_audit(env: str = "", system: str = "", json: bool = False) -> Told:
    """Answer what must hold while the system runs: the house rules, and the daily and first-day requirements.

    Rehearses the kill switch without tripping it (a dry call). Otherwise it reads.
    Exit codes: 0 healthy, 2 bad input, 3 a blocking requirement does not hold. Page: runbooks/health-audit.md
    """
    from ops.tasks.several import each_system

    return each_system(env, system, _one, json)


def _one(env: str, system: str) -> Told:
    from ops.provider import refuse_asleep
    from ops.tasks.opening import keep_kill_ready, open_doors
    from ops.tasks.preflight import table
    from ops.transitions.audit import audit

    doors = open_doors(env, system)
    refuse_asleep(doors)
    keep_kill_ready(doors)
    report = audit(doors)
    shut = report.shut
    state = (
        f"{len(shut)} of {len(report.answers)} requirements do NOT hold"
        if shut
        else f"all blocking ones of {len(report.answers)} requirements hold"
    )
    nxt = "invoke status | invoke rollback" if shut else "invoke status"
    return Told(
        f"{doors.profile.system} at {report.sight.history.stage}: {state}. Next: {nxt}",
        table(report.answers),
        {"system": doors.profile.system, "healthy": not shut, "answers": [a.as_dict() for a in report.answers]},
        REFUSED if shut else DONE,
    )
