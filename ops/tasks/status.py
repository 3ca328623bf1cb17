"""`invoke status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEM_HELP
from ops.tasks.telling import DONE, RESIDUE, Told, operator_task

if TYPE_CHECKING:
    from ops.doors import Doors


@operator_task(help={"env": ENV_HELP, "system": SYSTEM_HELP, "json": JSON_HELP})
def status(env: str = "", system: str = "", json: bool = False) -> Told:
    """Show where every system stands: stage by the ledger, mode by three readings per host, switch, orders, positions.

    Reads; changes nothing. If the ledger and what the hosts show disagree, it says so and exits 6.
    Exit codes: 0 ledger and world agree, 2 bad input, 6 they do not or something is unknown. Page: runbooks/status.md
    """
    from ops.tasks.opening import chosen_place, chosen_systems, open_doors

    where = chosen_place(env)
    lines: list[str] = []
    sentences, documents = [], []
    for name in chosen_systems(where, system):
        document = _facts(open_doors(where.name, name))
        documents.append(document)
        lines += _table(document)
        sentences.append(document["sentence"])
    bad = any(document["disagreements"] for document in documents)
    return Told(
        "; ".join(sentences), lines, {"environment": where.name, "systems": documents}, RESIDUE if bad else DONE
    )


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
    for slot, row in document["accounts"].items():
        lines.append(f"  {slot:<10} {row}")
    lines += [f"  DISAGREES  {text}" for text in document["disagreements"]]
    return lines
