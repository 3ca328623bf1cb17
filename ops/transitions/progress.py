"""What the engine tells the person who waits. The tasks show it; the engine does not know how."""

from __future__ import annotations

from typing import Protocol

from ops.model.step import Ended


class Progress(Protocol):
    """Told of each move as it begins and ends."""

    def begins(self, verb: str, name: str, title: str) -> None:
        """A move begins."""

    def ends(self, name: str, ended: Ended) -> None:
        """A move ended; it is proven if it has no problems."""

    def note(self, text: str) -> None:
        """Something worth a line between moves."""


class Silent:
    """Shows nothing: for tests and for commands that answer in JSON."""

    def begins(self, verb: str, name: str, title: str) -> None:
        """Nothing."""

    def ends(self, name: str, ended: Ended) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
