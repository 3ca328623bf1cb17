"""Everything Interlock raises on purpose, as one tree; each branch knows its exit code.

::

    InterlockError                  1  a fault in Interlock itself
    ├── InputError                  2  bad input or configuration: file, line, expected, seen, remedy
    ├── Refused                     3  a gate, a stale plan, a missing or bad approval, a held lock
    │   └── LockHeld                3
    ├── Waiting                     4  a person must act first; nothing changed
    ├── SafeFailure                 5  the transition failed; everything is verified paper + tripped
    ├── ResidueLeft                 6  a safe state could not be proven; the residue is listed
    └── DoorError                   2  the outside did not answer as it should; inside a check or step: `unknown`
        ├── HostError
        ├── VenueError
        ├── MonitorError
        └── AlertError

A library's own exceptions are translated at the one door that imports the library. A message never holds a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class InterlockError(Exception):
    """A fault in Interlock; the root of all that it raises on purpose."""

    exit_code = 1


class InputError(InterlockError):
    """Bad input, told as: where, what was expected, what was seen, what to do."""

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        line: int | None = None,
        expected: str = "",
        seen: str = "",
        remedy: str = "",
    ) -> None:
        self.problem, self.file, self.line = problem, file, line
        self.expected, self.seen, self.remedy = expected, seen, remedy
        super().__init__(self.text())

    def text(self) -> str:
        """One line a person can act on; parts that are not known are left out."""
        where = "" if self.file is None else f"{self.file}{'' if self.line is None else f':{self.line}'}: "
        parts = [f"{where}{self.problem}"]
        parts += [f"expected {self.expected}"] if self.expected else []
        parts += [f"seen {self.seen}"] if self.seen else []
        parts += [f"remedy: {self.remedy}"] if self.remedy else []
        return "; ".join(parts)


class Refused(InterlockError):
    """A gate said no, or an approval is missing, stale or bad. Nothing was changed."""

    exit_code = 3

    def __init__(self, problem: str, *, reasons: Sequence[str] = (), remedy: str = "") -> None:
        self.problem, self.reasons, self.remedy = problem, tuple(reasons), remedy
        super().__init__(f"{problem}{f'; remedy: {remedy}' if remedy else ''}")


class LockHeld(Refused):
    """Another transition of the same system holds the lock; says who, since when and what for."""


class Waiting(InterlockError):
    """A person must act first. Nothing was changed by waiting."""

    exit_code = 4


class SafeFailure(InterlockError):
    """The transition failed and every host is verified paper and tripped."""

    exit_code = 5


class ResidueLeft(InterlockError):
    """A safe state could not be proven. `residue` names each thing that could not be shown."""

    exit_code = 6

    def __init__(self, problem: str, *, residue: Sequence[str]) -> None:
        self.problem, self.residue = problem, tuple(residue)
        super().__init__(problem)


class DoorError(InterlockError):
    """The outside did not answer as it should. The caller must treat the state behind it as unknown.

    One that reaches the command line means that something around Interlock is missing or not set up.
    """

    exit_code = 2


class HostError(DoorError):
    """A host was unreachable or its answer was not the typed document expected."""


class VenueError(DoorError):
    """A venue did not answer, refused, or answered in a shape that proves nothing.

    `status` is the HTTP status if there was one; 401 and 403 mean that the key was refused.
    """

    def __init__(self, problem: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(problem)


class MonitorError(DoorError):
    """Prometheus or Grafana did not answer or refused the query."""


class AlertError(DoorError):
    """An alert channel refused or lost a message."""
