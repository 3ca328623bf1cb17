"""`invoke kill`."""

from __future__ import annotations

from ops.tasks.telling import RESIDUE, Told, operator_task


@operator_task(
    help={
        "reason": "why; goes into the record",
        "env": "environment; default: $INTERLOCK_ENV, else every one that Interlock knows on this machine",
        "system": "only this system; default: all of them",
        "json": "answer in JSON",
    },
)
def kill(reason: str = "", env: str = "", system: str = "", json: bool = False) -> Told:
    """Stop everything now, and prove it: every brake of every system at once, then zero open orders seen twice.

    Needs one person; no lock, no gate, no Ansible, no healthy ledger, no running bot. Says per account: sent,
    acknowledged, verified zero or UNKNOWN, and which positions are left; it closes none. Run it as often as you like.
    Exit codes: 0 only if all is proven, 2 no reason was given, 6 residue is left. Page: runbooks/kill.md
    """
    import getpass

    from ops.kill.command import environments_known, table
    from ops.kill.kill import kill as run
    from ops.tasks.telling import BAD_INPUT

    if not reason.strip():
        return Told('a kill needs a reason: invoke kill --reason="..."', code=BAD_INPUT)
    lines: list[str] = []
    residue: list[str] = []
    documents = {}
    sentences: list[str] = []
    for state in environments_known(env):
        say = (lambda text: None) if json else (lambda text: print(f"  {text}\n", end="", flush=True))
        end = run(state, reason, getpass.getuser(), [system] if system else [], say)
        *rows, sentence = table(end)
        lines += rows
        # What is not proven is said last: the last sentence is the one that is read.
        sentences = [*sentences, sentence] if end.residue else [sentence, *sentences]
        residue += end.residue
        documents[state.name] = end.as_dict()
    return Told(". ".join(sentences), lines, {"environments": documents, "residue": residue}, RESIDUE if residue else 0)
