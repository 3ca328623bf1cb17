"""One control group per host, in every hierarchy there is: its processes are counted, frozen and ended together."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.errors import HostError

_ROOT = Path("/sys/fs/cgroup")
# Version 1: the freezer comes first, since no guest sorts its processes into groups of its own there.
_FIRST_VERSION = ("freezer", "systemd", "unified", "memory", "pids", "cpu")
_KILL_SECONDS = 10.0


def _hierarchies() -> list[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return [_ROOT / name for name in _FIRST_VERSION if (_ROOT / name).is_dir()]


@dataclass(frozen=True)
class Group:
    """A control group by its name, below the root of each hierarchy."""

    name: str

    @property
    def _folders(self) -> list[Path]:
        return [root / self.name for root in _hierarchies()]

    def make(self) -> None:
        """Makes it where it is not there."""
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)

    def around(self, words: Sequence[str]) -> list[str]:
        """The command line that starts a program inside the group."""
        joins = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in self._folders)
        return ["/bin/sh", "-c", f'{joins}; exec "$@"', "sh", *words]

    def members(self) -> set[int]:
        """The ids of its processes, those of groups below it too."""
        return {pid for folder in self._folders for pid in _listed(folder)}

    def freeze(self, frozen: bool) -> None:
        """Stops the world of its processes, or lets it go on."""
        folder = self._folders[0]
        second = folder / "cgroup.freeze"
        if second.exists():
            second.write_text("1" if frozen else "0")
        elif (folder / "freezer.state").exists():
            (folder / "freezer.state").write_text("FROZEN" if frozen else "THAWED")
        else:
            raise HostError("this kernel has no freezer for control groups")

    def kill(self) -> None:
        """Ends every process in it. Raises HostError if some do not end."""
        until = time.monotonic() + _KILL_SECONDS
        while members := self.members():
            with contextlib.suppress(OSError, HostError):
                self.freeze(False)
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > until:
                raise HostError(f"{len(members)} processes of {self.name} do not end")
            time.sleep(0.02)

    def remove(self) -> None:
        """Kills what is in it and takes it away with the groups below it."""
        self.kill()
        for folder in self._folders:
            for path in sorted(folder.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
            with contextlib.suppress(OSError):
                folder.rmdir()


def _listed(folder: Path) -> Iterator[int]:
    for path in (folder / "cgroup.procs", *folder.glob("**/cgroup.procs")):
        with contextlib.suppress(OSError):
            yield from map(int, path.read_text().split())
