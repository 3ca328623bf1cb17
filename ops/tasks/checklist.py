"""`invoke checklist.show`, `checklist.coverage` and `checklist.attest`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEM_HELP, SYSTEMS_HELP
from ops.tasks.telling import DONE, REFUSED, Told, operator_task

if TYPE_CHECKING:
    from ops.inventory import Place


@operator_task(help={"env": ENV_HELP, "system": SYSTEM_HELP, "phase": "only this phase", "json": JSON_HELP})
def show(env: str = "", system: str = "", phase: str = "", json: bool = False) -> Told:
    """Show every requirement of the system's checklist with how it is answered and what the answer is now.

    Exit codes: 0 shown, 2 bad input. Page: runbooks/checklist.md
    """
    from ops.checklist import PHASES
    from ops.errors import InputError
    from ops.provider import refuse_asleep
    from ops.tasks.opening import open_doors
    from ops.tasks.preflight import table
    from ops.transitions.preflight import answered, look

    if phase and phase not in PHASES:
        raise InputError("there is no such phase", expected=", ".join(PHASES), seen=phase)
    doors = open_doors(env, system)
    refuse_asleep(doors)
    answers = answered(look(doors), (phase,) if phase else PHASES)
    counts = {
        name: sum(str(a.outcome) == name for a in answers) for name in ("pass", "fail", "unknown", "stale", "skipped")
    }
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    document = {"system": doors.profile.system, "entries": [a.as_dict() for a in answers]}
    return Told(f"{doors.profile.system}: {len(answers)} requirements: {said}", table(answers), document)


@operator_task(help={"env": ENV_HELP, "system": SYSTEMS_HELP, "json": JSON_HELP})
def coverage(env: str = "", system: str = "", json: bool = False) -> Told:
    """Count which requirements have an answer that Interlock can give, and name the missing ones.

    Says nothing of whether the answer is yes: that is checklist.show. What a person still sees to by hand is missing.
    Exit codes: 0 all answered, 3 some are missing. Page: runbooks/checklist.md
    """
    from ops.tasks.opening import chosen_place, meant_systems

    where = chosen_place(env)
    documents = [_covered(where, name) for name in meant_systems(where, system)]
    counts = (f"{d['system']}: {d['answered']} of {d['entries']} requirements are answered" for d in documents)
    missing = [f"{d['system']}: missing: {', '.join(d['missing'])}" for d in documents if d["missing"]]
    one = len(documents) == 1
    said = f"missing: {', '.join(documents[0]['missing'])}" if missing and one else "none is missing"
    return Told(
        f"{'; '.join(counts)}; {said if one or not missing else f'{len(missing)} systems lack some'}",
        () if one else missing,
        documents[0] if one else {"systems": {d["system"]: d for d in documents}},
        REFUSED if missing else DONE,
        bare=True,
    )


def _covered(where: Place, name: str) -> dict[str, Any]:
    from ops.inventory import load_profile
    from ops.transitions.coverage import covered

    entries, missing = covered(load_profile(where, name))
    return {"system": name, "entries": entries, "answered": entries - len(missing), "missing": missing}


@operator_task(
    changes=True,
    help={
        "evidence": "which statement (named by invoke checklist.show)",
        "person": "your name in people.yml",
        "key": "your private SSH key",
        "env": ENV_HELP,
        "system": SYSTEM_HELP,
        "json": JSON_HELP,
    },
)
def attest(
    evidence: str = "", person: str = "", key: str = "", env: str = "", system: str = "", json: bool = False
) -> Told:
    """Sign a statement that no machine can check, such as having watched the order stream.

    Exit codes: 0 recorded, 2 bad input, 3 refused. Page: runbooks/checklist.md
    """
    from ops.tasks.asking import typed_name
    from ops.tasks.opening import open_doors
    from ops.transitions.attestation import attest as run

    doors = open_doors(env, system)
    seen = run(doors, evidence, person, key, lambda text: typed_name(doors.profile.system, text))
    return Told(
        f"{doors.profile.system}: {person} attested {evidence}, valid {seen}",
        document={"evidence": evidence, "person": person},
    )
