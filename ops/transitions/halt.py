"""The mark by which a kill, or somebody who rolls back, asks a transition under way to stop."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ops.doors import Doors


def _path(doors: Doors) -> Path:
    return doors.place.state / "kill" / f"{doors.profile.system}.mark"


def halt_mark(doors: Doors) -> int:
    """The newest mark (nanoseconds); 0 if there was never one."""
    try:
        return int(_path(doors).read_text())
    except (OSError, ValueError):
        return 0


def ask_to_halt(doors: Doors) -> None:
    """Leaves a mark. If it cannot be written the fence still keeps the other transition out."""
    with contextlib.suppress(OSError):
        _path(doors).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _path(doors).write_text(str(int(doors.clock().timestamp() * 1_000_000_000)))
