"""`invoke verify`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import DONE, REFUSED, Told, operator_task

if TYPE_CHECKING:
    from ops.doors import Doors
    from ops.hosts.testinfra import Standing, Verdict
    from ops.model.history import History
    from ops.model.profile import Slot

FACTS_HELP = "write what must be true into this file, for plain pytest, and look at no host (one system)"


@operator_task(help={"env": ENV_HELP, "system": SYSTEMS_HELP, "json": JSON_HELP, "facts": FACTS_HELP})
def verify(env: str = "", system: str = "", json: bool = False, facts: str = "") -> Told:
    """Verify the hosts with testinfra: owners, modes, env file, keys, processes, sockets, gate, clock, disk, logs.

    Reads; changes nothing. Expects what the ledger says is in force.
    Exit codes: 0 all assertions hold, 2 bad input, 3 some do not or a host is dark. Page: runbooks/verify.md
    """
    from ops.tasks.several import each_system

    return each_system(env, system, partial(_one, facts=facts), json)


def _one(env: str, system: str, facts: str = "") -> Told:
    from ops.hosts.testinfra import verify_hosts
    from ops.provider import refuse_asleep
    from ops.tasks.opening import keep_kill_ready, open_doors
    from ops.transitions.preflight import current_history

    doors = open_doors(env, system)
    history = current_history(doors)
    slot: Slot = "live" if history.live else "paper"
    size = doors.profile.stage(history.stage).size_pct if history.live else 100
    if facts:
        return _written(doors, slot, size, _standing(doors, history, slot), facts)
    refuse_asleep(doors)
    keep_kill_ready(doors)
    verdict = verify_hosts(doors.fleet, doors.bot_credentials(slot), slot, size, _standing(doors, history, slot))
    return _told(doors, history, verdict)


def _standing(doors: Doors, history: History, slot: Slot) -> Standing:
    """No transition is under way: then no deadline runs, and the gate is there exactly if nothing re-armed since."""
    from ops.hosts.testinfra import Standing, foreign_keys

    foreign = foreign_keys(doors.secrets, doors.profile, slot)
    return Standing(gate_expected(history), None if history.interrupted else False, foreign)


def gate_expected(history: History) -> bool | None:
    """Whether the gate must stand by what the ledger saw last: a kill or the end of a transition; None if it cannot be
    told from that. A bot that tripped itself has set no gate."""
    ended = max(history.transitions.values(), key=lambda one: one.closed_at, default=None)
    if history.interrupted or history.residue:
        return None
    if history.kills and (ended is None or history.kills[-1]["at"] > ended.closed_at):
        return None if history.kills[-1]["residue"] else True
    return None if ended is None else not (ended.outcome == "committed" and "rearm" in ended.done)


def _written(doors: Doors, slot: Slot, size: int, standing: Standing, facts: str) -> Told:
    import json
    from pathlib import Path

    from ops.hosts.testinfra import SUITE, host_facts
    from ops.secrets import Secrets

    path = Path(facts).absolute()
    Secrets.store(path, json.dumps(host_facts(doors.fleet, doors.bot_credentials(slot), slot, size, standing)))
    run = f"INTERLOCK_HOST_FACTS={path} pytest -c {SUITE / 'pytest.ini'} {SUITE}"
    document = {"system": doors.profile.system, "passed": 0, "problems": [], "cases": [], "facts": str(path)}
    return Told(f"{doors.profile.system}: written, no host was looked at. Next: {run}", [], document)


def _told(doors: Doors, history: History, verdict: Verdict) -> Told:
    bad = [case for case in verdict.cases if case["outcome"] in ("fail", "unknown")]
    count = len(bad) or len(verdict.problems)
    state = (
        f"{count} of {verdict.passed + count} assertions do NOT hold" if count else f"{verdict.passed} assertions hold"
    )
    return Told(
        f"{doors.profile.system}: {state} on {verdict.hosts} hosts, as {history.stage} expects",
        [*_hosts(verdict), *(f"- {problem}" for problem in verdict.problems)],
        {
            "system": doors.profile.system,
            "passed": verdict.passed,
            "problems": list(verdict.problems),
            "cases": list(verdict.cases),
        },
        REFUSED if count else DONE,
    )


def _hosts(verdict: Verdict) -> list[str]:
    """One line for each host."""
    from collections import Counter

    from ops.hosts.testinfra import host_of

    words = {"pass": "hold", "fail": "do NOT hold", "unknown": "UNKNOWN", "skipped": "do not apply"}
    found = Counter((host_of(case), case["outcome"]) for case in verdict.cases)
    return [
        f"{host}: "
        + ", ".join(f"{found[host, outcome]} {said}" for outcome, said in words.items() if found[host, outcome])
        for host in dict.fromkeys(map(host_of, verdict.cases))
    ]
