"""Takes the records of kills that could not be written to the ledger into it, as soon as it can be written again."""

from __future__ import annotations

import json

from ops.doors import Doors
from ops.ledger.store import LedgerUnavailable


def absorb_spool(doors: Doors) -> None:
    """Each spooled record once; the spool is set aside only when all of them are in the ledger."""
    spool = doors.place.state / "kill" / "spool.jsonl"
    if not spool.exists():
        return
    try:
        for line in spool.read_text().splitlines():
            doors.ledger.append("kill.done", {**json.loads(line), "from": "spool"})
        spool.rename(spool.with_name(f"spool-{doors.new_id()}.taken"))
    except (LedgerUnavailable, ValueError, OSError):
        return
