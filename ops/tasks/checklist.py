"""`invoke checklist.show`, `checklist.coverage` and `checklist.attest`."""

from __future__ import annotations

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEM_HELP
from ops.tasks.telling import DONE, REFUSED, Told, operator_task


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


@operator_task(help={"env": ENV_HELP, "system": SYSTEM_HELP, "json": JSON_HELP})
def coverage(env: str = "", system: str = "", json: bool = False) -> Told:
    """Count which requirements have an answer that Interlock can give, and name the missing ones.

    Says nothing of whether the answer is yes: that is checklist.show.
    Exit codes: 0 all answered, 3 some are missing. Page: runbooks/checklist.md
    """
    from ops.inventory import load_profile
    from ops.tasks.opening import chosen_place, one_system
    from ops.transitions.coverage import covered

    where = chosen_place(env)
    profile = load_profile(where, one_system(where, system))
    entries, missing = covered(profile)
    document = {"system": profile.system, "entries": entries, "answered": entries - len(missing), "missing": missing}
    said = f"missing: {', '.join(missing)}" if missing else "none is missing"
    return Told(
        f"{profile.system}: {entries - len(missing)} of {entries} requirements are answered; {said}",
        document=document,
        code=REFUSED if missing else DONE,
        bare=True,
    )


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
