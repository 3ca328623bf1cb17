"""`invoke verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import DONE, REFUSED, Told, operator_task

if TYPE_CHECKING:
    from ops.model.profile import Slot


@operator_task(help={"env": ENV_HELP, "system": SYSTEMS_HELP, "json": JSON_HELP})
def verify(env: str = "", system: str = "", json: bool = False) -> Told:
    """Verify the hosts with testinfra: owners and modes, env file by digest, process, sockets, clock, disk, logs.

    Reads; changes nothing. Expects what the ledger says is in force.
    Exit codes: 0 all assertions hold, 2 bad input, 3 some do not or a host is dark. Page: runbooks/verify.md
    """
    from ops.tasks.several import each_system

    return each_system(env, system, _one, json)


def _one(env: str, system: str) -> Told:
    from ops.hosts.testinfra import verify_hosts
    from ops.provider import refuse_asleep
    from ops.tasks.opening import keep_kill_ready, open_doors
    from ops.transitions.preflight import current_history

    doors = open_doors(env, system)
    refuse_asleep(doors)
    keep_kill_ready(doors)
    history = current_history(doors)
    slot: Slot = "live" if history.live else "paper"
    size = doors.profile.stage(history.stage).size_pct if history.live else 100
    verdict = verify_hosts(doors.fleet, doors.bot_credentials(slot), slot, size)
    lines = [
        f"{case['outcome']:<8} {case['name']}" + (f": {case['text']}" if case["text"] else "") for case in verdict.cases
    ]
    bad = len(verdict.problems)
    state = f"{bad} of {verdict.passed + bad} assertions do NOT hold" if bad else f"{verdict.passed} assertions hold"
    return Told(
        f"{doors.profile.system}: {state} on {verdict.hosts} hosts, as {history.stage} expects",
        lines or [f"- {problem}" for problem in verdict.problems],
        {
            "system": doors.profile.system,
            "passed": verdict.passed,
            "problems": list(verdict.problems),
            "cases": list(verdict.cases),
        },
        REFUSED if bad else DONE,
    )
