"""One record of the ledger, and the chain that holds the records together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ops.model.canonical import canonical_json, digest

GENESIS = "0" * 64


@dataclass(frozen=True)
class Record:
    """`line` is the exact text that was hashed and stored; nothing ever serialises it again to verify it."""

    seq: int
    kind: str
    at: str
    actor: str
    body: Mapping[str, Any]
    line: str
    hash: str


def chained(seq: int, prev: str, kind: str, at: str, actor: str, body: Mapping[str, Any]) -> Record:
    """The next record after the one whose hash is `prev`."""
    line = canonical_json({"seq": seq, "prev": prev, "kind": kind, "at": at, "actor": actor, "body": body})
    return Record(seq, kind, at, actor, body, line, digest(line))


def parsed(line: str, stored_hash: str) -> Record:
    """A stored record. Raises ValueError if the line is not a record."""
    document = json.loads(line)
    try:
        seq, kind, at, actor, body = (document[name] for name in ("seq", "kind", "at", "actor", "body"))
    except (KeyError, TypeError):
        raise ValueError("not a ledger record") from None
    if not isinstance(body, dict):
        raise ValueError("not a ledger record")
    return Record(int(seq), kind, at, actor, body, line, stored_hash)


def first_break(rows: Iterable[tuple[int, str, str]]) -> tuple[int, str] | None:
    """Where (seq, line, hash) rows stop being a chain: the sequence number and what is wrong; None if they never do."""
    prev, expected = GENESIS, 1
    for seq, line, stored in rows:
        if seq != expected:
            return expected, f"record {expected} is missing (the next one is {seq})"
        if digest(line) != stored:
            return seq, "the text of the record does not match its hash"
        try:
            document = json.loads(line)
        except ValueError:
            return seq, "the record is not JSON"
        if not isinstance(document, dict) or document.get("prev") != prev or document.get("seq") != seq:
            return seq, "the record does not follow the one before it"
        prev, expected = stored, seq + 1
    return None
