"""The door to `ops/checklists/`: what a seed demands, entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.errors import InputError
from ops.yaml_source import YamlSource

FOLDER = Path(__file__).parent / "checklists"
PHASES = ("preflight", "transition", "first_hour", "ramp", "daily", "rollback", "incident")
ANSWERS = ("check", "action", "drill", "attestation", "document")


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


def load_checklist(name: str) -> tuple[Entry, ...]:
    """The entries in the seed's order. Raises InputError naming file and line of what is wrong."""
    source = YamlSource(FOLDER / f"{name}.yml")
    entries = []
    for index, row in enumerate(source.value["entries"]):
        place = ("entries", index)
        try:
            entry = Entry(**{**row, "probes": tuple(row["probes"])})
        except (TypeError, KeyError) as error:
            raise InputError(f"not an entry: {error}", file=source.path, line=source.line(place)) from None
        if entry.phase not in PHASES or entry.answer not in ANSWERS or not entry.probes:
            raise InputError(f"{entry.id}: unknown phase or answer", file=source.path, line=source.line(place))
        entries.append(entry)
    return tuple(entries)
