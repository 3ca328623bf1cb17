"""The record of a kill: written after the sends, to the ledger, else to a spool, else nowhere, and it says so."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.kill.targets import folder


def record(state: Path, actor: str, rows: Sequence[Mapping[str, Any]], clock: Callable[[], datetime]) -> str:
    """One `kill.done` per system; returns where they went. The next command takes a spool into the ledger.

    The ledger is imported here: SQLite is not needed to stop anything.
    """
    from ops.ledger.store import Ledger, LedgerUnavailable
    from ops.model.canonical import utc_text

    if not rows:
        return "nothing: there was no system to stop"
    written = 0
    try:
        ledger = Ledger(state / "ledger.sqlite", actor, clock)
        for row in rows:
            ledger.append("kill.done", row)
            written += 1
        return "ledger"
    except LedgerUnavailable:
        more = {"at": utc_text(clock()), "actor": actor}
        return _spooled(folder(state) / "spool.jsonl", [{**row, **more} for row in rows[written:]])


def _spooled(spool: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    try:
        with spool.open("a") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)
            stream.flush()
            os.fsync(stream.fileno())
        return f"spool {spool}"
    except OSError:
        return "NOWHERE: neither ledger nor spool could be written; keep this output"
