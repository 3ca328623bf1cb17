"""The door to `ops/checklists/`: what a seed demands, entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.errors import InputError
from ops.model.canonical import digest
from ops.yaml_source import YamlSource

FOLDER = Path(__file__).parent / "checklists"
PHASES = ("preflight", "transition", "first_hour", "ramp", "daily", "weekly", "rollback", "incident", "post")
ANSWERS = ("check", "action", "drill", "attestation", "document", "by_hand")


@dataclass(frozen=True)
class Entry:
    """One requirement: its id, the seed's line, what it asks, when, whether it blocks, the probes that answer it."""

    id: str
    line: int
    asks: str
    phase: str
    blocking: bool
    answer: str
    probes: tuple[Mapping[str, Any], ...]
    # The probe types that will answer it once they exist; until then a person does.
    wants: tuple[str, ...] = ()


def load_checklist(name: str) -> tuple[Entry, ...]:
    """The entries in the seed's order. Raises InputError naming file and line of what is wrong."""
    source = YamlSource(FOLDER / f"{name}.yml")
    entries = []
    for index, row in enumerate(source.value["entries"]):
        place = ("entries", index)
        try:
            entry = Entry(**{**row, "probes": tuple(row["probes"]), "wants": tuple(row.get("wants", ()))})
        except (TypeError, KeyError) as error:
            raise InputError(f"not an entry: {error}", file=source.path, line=source.line(place)) from None
        if entry.phase not in PHASES or entry.answer not in ANSWERS or not entry.probes:
            raise InputError(f"{entry.id}: unknown phase or answer", file=source.path, line=source.line(place))
        entries.append(entry)
    return tuple(entries)


def by_hand(name: str) -> tuple[tuple[str, ...], str]:
    """The ids of the entries that only a person can answer so far, and a digest over the ids and what they ask."""
    found = [entry for entry in load_checklist(name) if entry.answer == "by_hand"]
    return tuple(entry.id for entry in found), digest("".join(f"{entry.id} {entry.asks}\n" for entry in found))
