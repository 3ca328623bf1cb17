"""What kill aims at: one flat file per system, written whenever the system is opened, read without its inventory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class HostTarget:
    """One host: the complete request for the host program, and how to reach it."""

    name: str
    request: Mapping[str, Any]


@dataclass(frozen=True)
class VenueTarget:
    """One venue account: where, which credentials file, and whose orders begin how."""

    slot: str
    kind: str
    endpoint: str
    account: str
    credentials_file: str
    order_prefixes: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """One system."""

    system: str
    host_program: str
    hosts: tuple[HostTarget, ...]
    venues: tuple[VenueTarget, ...]

    def as_text(self) -> str:
        """The file's text."""
        return json.dumps(
            {
                "system": self.system,
                "host_program": self.host_program,
                "hosts": [{"name": host.name, "request": host.request} for host in self.hosts],
                "venues": [{**venue.__dict__, "order_prefixes": list(venue.order_prefixes)} for venue in self.venues],
            }
        )


def folder(state: Path) -> Path:
    """Where the files lie."""
    return state / "kill"


def read_targets(state: Path, systems: Sequence[str] = ()) -> tuple[list[Target], list[str]]:
    """The targets, and one line per file that could not be read: a damaged file hides no other."""
    found, broken = [], []
    for path in sorted(folder(state).glob("*.target.json")):
        name = path.name.removesuffix(".target.json")
        if systems and name not in systems:
            continue
        try:
            found.append(_target(json.loads(path.read_text())))
        except (OSError, ValueError, KeyError, TypeError) as error:
            broken.append(f"{name}: its kill target {path} cannot be read ({type(error).__name__})")
    missing = [
        s for s in systems if s not in {t.system for t in found} and not any(b.startswith(f"{s}:") for b in broken)
    ]
    return found, broken + [f"{name}: there is no kill target for it" for name in missing]


def _target(document: Mapping[str, Any]) -> Target:
    venues = tuple(VenueTarget(**{**row, "order_prefixes": tuple(row["order_prefixes"])}) for row in document["venues"])
    hosts = tuple(HostTarget(row["name"], row["request"]) for row in document["hosts"])
    return Target(document["system"], document["host_program"], hosts, venues)
