"""What a step is given: the doors, and which transition it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.doors import Doors
from ops.hosts.fleet import Fence, Replies
from ops.model.profile import Slot


@dataclass
class Run:
    """One transition under way. `done` is the evidence of the steps before this one."""

    doors: Doors
    transition: str
    verb: str
    epoch: int
    slot_from: Slot
    slot_to: Slot
    stage_to: str
    size_pct: int
    planned_env: Mapping[str, str] | None = None
    halt_mark: int = 0
    adopter: str = ""
    flatten: bool = False
    done: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    proven: set[str] = field(default_factory=set)

    @property
    def fence(self) -> Fence:
        """What the hosts compare before they change anything."""
        return Fence(self.transition, self.epoch)


def host_problems(replies: Replies) -> list[str]:
    """One line per host that is dark or refused."""
    return [f"{host}: {reply.error}" for host, reply in replies.items() if not (reply.reached and reply.ok)]
