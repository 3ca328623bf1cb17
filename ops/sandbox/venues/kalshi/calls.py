"""What a route gets and gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops.sandbox.venues.kalshi import tickets
from ops.sandbox.venues.kalshi.keys import Key, KeyRing
from ops.sandbox.venues.kalshi.lists import View


@dataclass(frozen=True, slots=True)
class Call:
    """One request at venue time `at`; `key` is None on public routes. `name` is the path's own part, if it has one."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    key: Key | None
    keys: KeyRing
    at: datetime
    view: View = field(default_factory=View)
    name: str = ""

    @property
    def key_id(self) -> str:
        return self.key.key_id if self.key is not None else ""

    def document(self) -> dict[str, Any]:
        return tickets.document(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON text; empty for none."""

    status: int
    text: str = ""


def reply(status: int, payload: Any) -> Reply:
    return Reply(status, json.dumps(payload, separators=(",", ":")))
