"""`invoke plan` and `invoke sign`."""

from __future__ import annotations

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEM_HELP
from ops.tasks.telling import Told, operator_task


@operator_task(
    changes=True,
    help={
        "env": ENV_HELP,
        "system": SYSTEM_HELP,
        "show": "show an existing plan instead of making one",
        "out": "write the text to be signed to this file",
        "requester": "who asks, if not the login name; whoever asks never counts as a signer",
        "json": JSON_HELP,
    },
)
def plan(
    env: str = "", system: str = "", show: str = "", out: str = "", requester: str = "", json: bool = False
) -> Told:
    """Freeze what go-live would do into a text that people can sign.

    Changes nothing but the ledger.
    The text names system, hosts, every variable that changes, key fingerprint, account, caps, commit, digests of every
    input, the findings and the ledger's head. If any of it changes before go-live, the plan is stale.
    Exit codes: 0 made, 2 bad input, 3 preflight keeps the gate shut. Page: runbooks/go-live.md
    """
    from pathlib import Path

    from ops.provider import ensure_up
    from ops.tasks.opening import keep_kill_ready, open_doors
    from ops.transitions.approval import refuse_shut
    from ops.transitions.plans import find_plan, make_plan
    from ops.transitions.preflight import current_history, preflight

    doors = open_doors(env, system, requester)
    ensure_up(doors, lambda text: None)
    keep_kill_ready(doors)
    if show:
        made = find_plan(show, current_history(doors))
    else:
        report = preflight(doors)
        refuse_shut(report)
        made = make_plan(doors, "go-live", doors.profile.ramp[0].stage, report)
    if out:
        Path(out).write_text(made.text)
    roles = " and ".join(doors.profile.sign_off.roles(made.verb))
    sentence = (
        f"Plan {made.id} to {made.verb} {made.system} waits for signatures as {roles} until {made.expires_at:%H:%M}Z. "
        f"Next: invoke sign --env={doors.place.name} --system={made.system} --plan={made.id} --person=NAME --key=FILE"
    )
    document = {"plan": made.id, "namespace": made.namespace, "text": made.text, **made.as_dict()}
    return Told(sentence, made.text.splitlines(), document)


@operator_task(
    changes=True,
    help={
        "plan": "the plan's id (or its beginning); default: the newest",
        "person": "your name in people.yml",
        "key": "your private SSH key",
        "signature": "a signature made elsewhere: ssh-keygen -Y sign -n NAMESPACE -f KEY FILE",
        "env": ENV_HELP,
        "system": SYSTEM_HELP,
        "json": JSON_HELP,
    },
)
def sign(
    person: str = "",
    plan: str = "",
    key: str = "",
    signature: str = "",
    env: str = "",
    system: str = "",
    json: bool = False,
) -> Told:
    """Sign a plan's text with your own SSH key, after reading it and typing the system's name.

    One distinct person and key per role; the requester never counts. A signature made on another machine is handed in
    with --signature; a bad one is refused and nothing is written.
    Exit codes: 0 signed, 2 bad input, 3 refused. Page: runbooks/go-live.md
    """
    from ops.tasks.opening import open_doors
    from ops.tasks.signing import armored_signature
    from ops.transitions.plans import find_plan, newest_plan
    from ops.transitions.preflight import current_history
    from ops.transitions.signoff import add_signature

    doors = open_doors(env, system)
    history = current_history(doors)
    found = find_plan(plan, history) if plan else newest_plan(doors, history)
    armored = armored_signature(found, doors.people, person, key, signature)
    verdict = add_signature(doors, found, person, armored, history)
    missing = " and ".join(verdict.missing)
    state = (
        f"still lacks a signature as {missing}"
        if missing
        else f"is approved; next: invoke {found.verb} --env={found.environment} --system={found.system} "
        f"--plan={found.id}"
    )
    return Told(
        f"{person} signed plan {found.id} to {found.verb} {found.system}; it {state}",
        document={"plan": found.id, "signers": dict(verdict.signers), "missing": list(verdict.missing)},
    )
