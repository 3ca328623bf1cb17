"""Restart: recreates every service; the bots come back halted, in the mode they were in (services start tripped)."""

from __future__ import annotations

from ops.doors import Doors
from ops.transitions.approval import begin, fence_seen, refuse_dark, refuse_shut
from ops.transitions.conduct import Began, ascend
from ops.transitions.lock import locked
from ops.transitions.preflight import look, recreation_gate
from ops.transitions.progress import Progress


def restart(doors: Doors, progress: Progress) -> str:
    """Returns the stage that the system is still at."""
    with locked(doors, "restart"):
        history, _ = begin(doors, progress, "restart", "")
        sight = look(doors)
        refuse_dark(sight.replies)
        refuse_shut(recreation_gate(sight))
        ascend(doors, progress, "restart", history.stage, None, Began(fence_seen(sight.replies)))
        return history.stage
