"""The mark by which a kill, or somebody who rolls back, asks a transition under way to stop."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ops.doors import Doors
from ops.errors import Refused


def _path(doors: Doors) -> Path:
    return _mark_file(doors.place.state, doors.profile.system)


def _mark_file(state: Path, system: str) -> Path:
    return state / "kill" / f"{system}.mark"


def halt_mark(doors: Doors) -> int:
    """The newest mark (nanoseconds); 0 if there was never one."""
    return halt_mark_of(doors.place.state, doors.profile.system)


def halt_mark_of(state: Path, system: str) -> int:
    """The same for a system of that state folder whose doors are not open yet."""
    try:
        return int(_mark_file(state, system).read_text())
    except (OSError, ValueError):
        return 0


def refuse_halted(doors: Doors, mark: int) -> None:
    """A kill between the beginning of a raise and its first change wins: raises Refused, nothing has been changed.

    Between the two lies all the time that checks and people take. `mark` is the one that stood at the beginning.
    """
    if halt_mark(doors) != mark:
        raise Refused(f"somebody killed or rolled back {doors.profile.system} meanwhile", remedy="invoke status")


def ask_to_halt(doors: Doors) -> None:
    """Leaves a mark. If it cannot be written the fence still keeps the other transition out."""
    with contextlib.suppress(OSError):
        _path(doors).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _path(doors).write_text(str(int(doors.clock().timestamp() * 1_000_000_000)))
