"""`invoke preflight`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import DONE, REFUSED, Told, operator_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.transitions.preflight import Answered


@operator_task(help={"env": ENV_HELP, "system": SYSTEMS_HELP, "json": JSON_HELP})
def preflight(env: str = "", system: str = "", json: bool = False) -> Told:
    """Ask everything that must hold before go-live, and change nothing.

    Every requirement of the system's checklist that belongs before the transition is answered by a check, a recorded
    drill or action, a signed attestation or a dated document; so are the house rules. Unknown and stale are not passes.
    Exit codes: 0 the gate is open, 2 bad input, 3 something keeps it shut. Page: runbooks/preflight.md
    """
    from ops.tasks.several import each_system

    return each_system(env, system, lambda e, s: _one(e, s, json), json)


def _one(env: str, system: str, json: bool) -> Told:
    from ops.provider import ensure_up
    from ops.tasks.opening import keep_kill_ready, open_doors, restless
    from ops.tasks.progress import shown
    from ops.transitions.preflight import preflight as run

    doors = open_doors(env, system)
    with shown(json) as progress:  # a sandbox that is not up yet takes a while to start
        ensure_up(doors, progress.note)
    keep_kill_ready(doors)
    report = run(doors)
    shut = report.shut
    state = f"{len(shut)} of {len(report.answers)} requirements keep the gate shut" if shut else "the gate is open"
    nxt = "mend them, then invoke preflight (invoke drill runs what is due)" if shut else "invoke plan | invoke go-live"
    if doors.profile.system in restless(doors.place):
        state, nxt = f"{state}; it is past that gate (live, in transition, or left with residue)", "invoke status"
    return Told(
        f"{doors.profile.system} in {doors.place.name}: {state}. Next: {nxt}",
        table(report.answers),
        {"system": doors.profile.system, "open": not shut, "answers": [a.as_dict() for a in report.answers]},
        REFUSED if shut else DONE,
    )


def table(answers: Sequence[Answered]) -> list[str]:
    """A line per requirement, and under it what was found where it is not a pass."""
    lines = []
    for answer in answers:
        mark = "  " if answer.blocking else "* "
        lines.append(f"{answer.id:<10} {answer.outcome!s:<8}{mark}{answer.asks}")
        for finding in answer.findings:
            if str(finding.outcome) != "pass":
                remedy = f" -> {finding.remedy}" if finding.remedy else ""
                lines.append(f"{'':<21}{finding.check}: {finding.seen}{remedy}")
    return lines
