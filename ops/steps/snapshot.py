"""Snapshot: what there was before anything changed. It changes nothing on hosts or venue, so nothing undoes it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ops.errors import DoorError, InputError
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
        found: dict[str, object] = {}
        for venue in run.doors.profile.venues:
            try:
                found[venue] = _account(run, venue, slot)
            except (DoorError, InputError) as error:
                problems.append(f"{run.doors.account_name(venue, slot)}: {error}")
        evidence[slot] = found
    said = [_said(run.doors.account_name(v, run.slot_to), a) for v, a in _accounts(evidence[run.slot_to])]
    return Ended(f"{len(replies)} hosts, {', '.join(said) or 'account unknown'}", tuple(problems), evidence)


def _account(run: Run, venue: str, slot: Slot) -> dict[str, object]:
    reader = run.doors.reader(venue, slot)
    account = reader.account()
    return {
        "account": account.number,
        "equity_usd": str(account.equity_usd),
        "positions": {p.symbol: str(p.qty) for p in reader.positions()},
    }


def _accounts(found: object) -> list[tuple[str, dict[str, Any]]]:
    return list(found.items()) if isinstance(found, dict) else []


def _said(name: str, account: dict[str, Any]) -> str:
    held = len(account["positions"])
    return f"{name} account {account['account']} with {Decimal(account['equity_usd']):.2f} USD and {held} positions"
