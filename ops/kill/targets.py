"""What kill aims at: one flat file per system, written whenever the system is opened, read without its inventory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class HostTarget:
    """One host: the complete request for the host program, and the command that runs the program there.

    `argv` is empty for a folder on this machine. Else it is OpenSSH's, complete; the program goes to its standard input
    with its length in a line before it, and the request after it. `sockets`: the folder of the connections that are
    open already; whoever else may write there could answer in a host's place.
    """

    name: str
    request: Mapping[str, Any]
    argv: tuple[str, ...] = ()
    sockets: str = ""


@dataclass(frozen=True)
class VenueTarget:
    """One venue account: where, with which credentials files, and how the client ids of our bots begin.

    `kill_file` cancels, `observer_file` reads; both None where the venue knows no credentials (IBKR). `bot_files` are
    the bots' own, one per host where each has its own: the last resort of a kill, and what closes positions.
    """

    venue: str
    slot: str
    kind: str
    endpoint: str
    account: str
    kill_file: str | None
    observer_file: str | None
    order_prefixes: tuple[str, ...]
    bot_files: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As people call it: `kraken live`."""
        return f"{self.venue} {self.slot}"


@dataclass(frozen=True)
class Target:
    """One system. `network`: the network namespace from which its hosts and venues are reached, if it is not ours."""

    system: str
    host_program: str
    hosts: tuple[HostTarget, ...]
    venues: tuple[VenueTarget, ...]
    network: str | None = None

    def as_text(self) -> str:
        """The file's text."""
        return json.dumps(
            {
                "system": self.system,
                "host_program": self.host_program,
                "network": self.network,
                "hosts": [asdict(host) for host in self.hosts],
                "venues": [asdict(venue) for venue in self.venues],
            }
        )


@dataclass(frozen=True)
class Aim:
    """What a kill is meant for: these systems, at these venues (a kind or a profile's own name); empty means all.

    A kill of a venue stops every account there, and trips the bots that trade there: they cannot be halted by halves.
    """

    systems: tuple[str, ...] = ()
    venues: tuple[str, ...] = ()

    @classmethod
    def named(cls, systems: Sequence[str], venues: Sequence[str]) -> Aim:
        """From the words of a command line, as every other command takes them: repeated, with commas, or `all`."""
        split = [[name.strip() for word in words for name in word.split(",")] for words in (systems, venues)]
        return cls(*(() if "all" in names else tuple(name for name in names if name) for names in split))

    def means(self, venue: VenueTarget) -> bool:
        """Whether this account is to be stopped."""
        return not self.venues or venue.venue in self.venues or venue.kind in self.venues

    def of(self, targets: Sequence[Target]) -> tuple[list[Target], list[str]]:
        """The systems that are meant, and one line per venue at which none of them has an account."""
        meant = [target for target in targets if any(map(self.means, target.venues)) or not self.venues]
        known = {name for target in targets for venue in target.venues for name in (venue.venue, venue.kind)}
        return meant, [
            f"{name}: no system here has an account at a venue of that name"
            for name in self.venues
            if name not in known
        ]


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
    known = ", ".join(path.name.removesuffix(".target.json") for path in sorted(folder(state).glob("*.target.json")))
    return found, broken + [f"{name}: there is no kill target for it (only for: {known or 'none'})" for name in missing]


def _target(document: Mapping[str, Any]) -> Target:
    venues = tuple(
        VenueTarget(**{**row, **{name: tuple(row[name]) for name in ("order_prefixes", "bot_files")}})
        for row in document["venues"]
    )
    # A file of an older Interlock knows neither ssh nor a network.
    hosts = tuple(
        HostTarget(row["name"], row["request"], tuple(row.get("argv", ())), row.get("sockets", ""))
        for row in document["hosts"]
    )
    return Target(document["system"], document["host_program"], hosts, venues, document.get("network"))
