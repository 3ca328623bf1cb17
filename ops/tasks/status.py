"""`invoke status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import DONE, RESIDUE, Told, operator_task

if TYPE_CHECKING:
    from ops.doors import Doors


@operator_task(help={"env": ENV_HELP, "system": SYSTEMS_HELP, "json": JSON_HELP})
def status(env: str = "", system: str = "", json: bool = False) -> Told:
    """Show where every system stands: stage by the ledger, mode by three readings per host, switch, orders, positions.

    Reads; changes nothing. If the ledger and what the hosts show disagree, it says so and exits 6.
    Exit codes: 0 ledger and world agree, 2 bad input, 6 they do not or something is unknown. Page: runbooks/status.md
    """
    from ops.tasks.opening import chosen_place, chosen_systems, open_doors, restless

    where = chosen_place(env)
    names = chosen_systems(where, system)
    opened = [open_doors(where.name, name) for name in names]
    # A system that never went up and whose sandbox is down has nothing to show; the others must not wait for it.
    asleep = [] if len(opened) == 1 else _asleep(opened, restless(where))
    documents = [_facts(doors) for doors in opened if len(asleep) == len(opened) or doors not in asleep]
    lines = [line for document in documents for line in _table(document)]
    lines += [f"{doors.profile.system} in {where.name}: its sandbox is not running" for doors in asleep]
    bad = any(document["disagreements"] for document in documents)
    sentence = "; ".join(document["sentence"] for document in documents)
    return Told(sentence, lines, {"environment": where.name, "systems": documents}, RESIDUE if bad else DONE)


def _asleep(opened: list[Doors], restless: list[str]) -> list[Doors]:
    from ops.errors import InputError
    from ops.provider import refuse_asleep

    found = []
    for doors in opened:
        try:
            refuse_asleep(doors)
        except InputError:
            found += [] if doors.profile.system in restless else [doors]
    return found


def _facts(doors: Doors) -> dict[str, Any]:
    from ops.provider import refuse_asleep
    from ops.transitions.standing import stand

    refuse_asleep(doors)
    return stand(doors)


def _table(document: dict[str, Any]) -> list[str]:
    lines = [
        f"{document['system']} in {document['environment']}: "
        f"stage {document['stage']} since {document['since'] or 'the beginning'}"
    ]
    for host, row in document["hosts"].items():
        lines.append(
            f"  {host:<10} declared {row['declared']:<8} loaded {row['loaded']:<8} observed {row['observed']:<8} "
            f"switch {row['switch']:<8} gate {row['gate']:<8} size {row['size']:<5} "
            f"loop {row['loop_age_seconds']} s ago"
        )
    lines += [f"  {name:<10} {row}" for name, row in document["accounts"].items()]
    lines += [f"  DISAGREES  {text}" for text in document["disagreements"]]
    return lines
