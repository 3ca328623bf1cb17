"""Snapshot: what there was before anything changed. It changes nothing on hosts or venue, so nothing undoes it."""

from __future__ import annotations

from ops.errors import DoorError
from ops.model.profile import Slot
from ops.model.step import Ended
from ops.steps.run import Run, host_problems


def snapshot(run: Run) -> Ended:
    """Env file digests, release, positions and equity of the account in force and of the one to come."""
    replies = run.doors.fleet.look()
    problems = host_problems(replies)
    evidence: dict[str, object] = {
        "env": {host: (reply.look.get("env") or {}).get("sha256") for host, reply in replies.items()},
        "release": {host: reply.look.get("release_sha256") for host, reply in replies.items()},
    }
    for slot in dict.fromkeys((run.slot_from, run.slot_to)):
        try:
            evidence[slot] = _account(run, slot)
        except DoorError as error:
            problems.append(f"{slot}: {error}")
    return Ended(f"{len(replies)} hosts, {_said(evidence.get(run.slot_to))}", tuple(problems), evidence)


def _account(run: Run, slot: Slot) -> dict[str, object]:
    reader = run.doors.reader(slot)
    account = reader.account()
    return {
        "account": account.number,
        "equity_usd": str(account.equity_usd),
        "positions": {p.symbol: str(p.qty) for p in reader.positions()},
    }


def _said(account: object) -> str:
    if not isinstance(account, dict):
        return "account unknown"
    return f"account {account['account']} with {account['equity_usd']} USD and {len(account['positions'])} positions"
