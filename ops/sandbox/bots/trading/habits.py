"""What one bot does besides the loop that all share: further rules, further triggers, something at each loop's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..venue import NewOrder
from .risk import Exposure, Trigger

if TYPE_CHECKING:
    from .loop import Worker


@dataclass(frozen=True)
class Proposal:
    """An order that is within the common limits and has not been sent yet."""

    order: NewOrder
    venue: str
    exposure: Exposure


class Habits:
    """A bot without habits. Every method runs in the loop's thread; one that raises five times in a row trips."""

    def attach(self, worker: Worker) -> None:
        """Told once, before the first loop, and before the worker is complete."""

    def switched(self, worker: Worker) -> None:
        """The switch was tripped or re-armed, in whatever thread; `worker.switching` is held."""

    def begin(self, worker: Worker) -> None:
        """Before a loop does anything."""

    def triggers(self, worker: Worker) -> Sequence[Trigger]:
        """Readings of the triggers that only this bot has."""
        return ()

    def refuse(self, worker: Worker, proposal: Proposal) -> str | None:
        """Why this order must not be sent, or None. The last question before it is recorded as sent."""
        return None

    def end(self, worker: Worker) -> None:
        """After a loop, failed or not."""

    def close(self) -> None:
        """No loop comes after this: what was opened can be closed."""
