"""`invoke ledger.show` and `invoke ledger.verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.tasks.opening import ENV_HELP, JSON_HELP
from ops.tasks.telling import DONE, FAULT, Told, operator_task

if TYPE_CHECKING:
    from ops.ledger.store import Ledger


def _ledger(env: str) -> tuple[str, Ledger]:
    from ops.doors import utc_now
    from ops.ledger.store import Ledger
    from ops.tasks.opening import chosen_place

    where = chosen_place(env)
    return where.name, Ledger(where.state / "ledger.sqlite", "", utc_now)


@operator_task(
    help={
        "env": ENV_HELP,
        "last": "how many records, newest last",
        "kind": "only records of this kind",
        "json": JSON_HELP,
    }
)
def show(env: str = "", last: str = "20", kind: str = "", json: bool = False) -> Told:
    """Show what Interlock did and saw, newest last.

    Exit codes: 0 shown, 2 bad input. Page: runbooks/ledger.md
    """
    from ops.errors import InputError

    if not last.isdigit() or int(last) < 1:
        raise InputError("--last is not a count", expected="a whole number from 1", seen=last)
    name, ledger = _ledger(env)
    records = [record for record in ledger.records() if not kind or record.kind == kind][-int(last) :]
    lines = [f"{r.seq:>6} {r.at[:19]}Z {r.actor:<10} {r.kind:<20} {_brief(dict(r.body))}" for r in records]
    document = {
        "records": [
            {"seq": r.seq, "at": r.at, "actor": r.actor, "kind": r.kind, "body": r.body, "hash": r.hash}
            for r in records
        ]
    }
    return Told(f"{len(records)} records of the ledger of {name} shown. Next: invoke ledger.verify", lines, document)


def _brief(body: dict[str, object]) -> str:
    shown = (
        "system",
        "transition",
        "verb",
        "step",
        "plan",
        "person",
        "seen",
        "reason",
        "outcome",
        "stage",
        "state",
        "slot",
        "fingerprint",
        "name",
    )
    return " ".join(f"{key}={str(body[key])[:60]}" for key in shown if body.get(key))


@operator_task(help={"env": ENV_HELP, "json": JSON_HELP})
def verify(env: str = "", json: bool = False) -> Told:
    """Verify the ledger's hash chain from its first record to its last.

    Exit codes: 0 verified, 1 contradicted (the place is named), 2 could not be evaluated. Page: runbooks/ledger.md
    """
    from ops.errors import InputError
    from ops.ledger.store import LedgerUnavailable

    name, ledger = _ledger(env)
    if not ledger.path.exists():
        raise InputError(
            f"the ledger of {name} does not exist yet",
            file=ledger.path,
            remedy="invoke plan or invoke go-live writes it",
        )
    try:
        broken = ledger.broken_at()
    except LedgerUnavailable as error:
        raise InputError(str(error)) from None
    count, head = ledger.head() if broken is None else (0, "")
    if broken:
        seq, why = broken
        return Told(f"The ledger of {name} is CONTRADICTED at record {seq}: {why}. Trust nothing after it",
                    document={"verified": False, "seq": seq, "why": why}, code=FAULT)  # fmt: skip
    return Told(
        f"The ledger of {name} is verified: {count} records, head {head[:12]}",
        document={"verified": True, "records": count, "head": head},
        code=DONE,
    )
