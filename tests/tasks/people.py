"""What a bad command must leave as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.ledger.store import Ledger
from ops.model.record import Record
from tests.field import Field

HOSTS = ("host-1", "host-2")


def ledger_of(field: Field) -> Ledger:
    return Ledger(field.state / "ledger.sqlite", "tester", lambda: datetime.now(UTC))


def records(field: Field, *kinds: str) -> list[Record]:
    return [record for record in ledger_of(field).records() if not kinds or record.kind in kinds]


def world_now(field: Field) -> dict[str, Any]:
    """What no refused command may change: the ledger, the hosts' files, the secrets, the live account's log."""
    files = {
        f"{host}/{name}": hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "none"
        for host in HOSTS
        for name in ("keys.env", "interlock/gate", "interlock/fence.json", "interlock/deadline.json")
        for path in [field.root(host) / name]
    }
    secrets = {path.name: path.read_bytes() for path in (field.state / "secrets").glob("*.env")}
    live = [(row["event"], row["client_order_id"]) for row in field.orders("live")]
    return {"ledger": ledger_of(field).head(), "files": files, "secrets": secrets, "live orders": live}


@contextmanager
def nothing_changed(field: Field) -> Iterator[None]:
    before = world_now(field)
    yield
    assert world_now(field) == before


@contextmanager
def altered(path: Path, data: bytes | str) -> Iterator[None]:
    """The file with other contents; exactly as it was afterwards."""
    before, mode = path.read_bytes(), path.stat().st_mode
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    try:
        yield
    finally:
        path.write_bytes(before)
        path.chmod(mode)
