"""One fleet's names and addresses. All follow from the state folder, so that two fleets never meet, and so that a fleet
whose maker crashed is found again by its names alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

HOSTS_MAX = 200
_FIRST = 10


@dataclass(frozen=True)
class Site:
    """Where a fleet lives: `mark` names its network namespace, its cgroup and its folder in memory under /run."""

    mark: str

    @classmethod
    def of(cls, state: Path) -> Site:
        """The site of a state folder."""
        return cls("ilf" + hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:8])

    @property
    def folder(self) -> Path:
        """A file system in memory that holds the hosts' disks."""
        return Path("/run") / self.mark

    @property
    def manifest(self) -> Path:
        """Which hosts there are."""
        return self.folder / "fleet.json"

    @property
    def gateway(self) -> str:
        """The controller's own address in the fleet's network; there is no route out."""
        return "10.77.0.1"

    def address(self, number: int) -> str:
        """The address of a host, numbered from 1."""
        return f"10.77.0.{_FIRST + number}"

    def namespace(self, number: int) -> str:
        """The network namespace of a host."""
        return f"{self.mark}-{number}"
