"""One piece of work in a thread of its own that nobody has to wait for: what hangs keeps neither others nor the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

End = TypeVar("End")


class Errand(Generic[End]):
    """Starts at once.

    Its end is an event of its own: a `Thread.join` that Ctrl-C interrupts takes a running thread for a stopped one
    (CPython 3.11, `threading.Thread._wait_for_tstate_lock`).
    """

    def __init__(self, work: Callable[[], End]) -> None:
        self._ends: list[End] = []
        self._over = Event()
        Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Callable[[], End]) -> None:
        try:
            self._ends.append(work())
        finally:
            self._over.set()

    @property
    def hangs(self) -> bool:
        """Whether it is still under way."""
        return not self._over.is_set()

    def end(self, until: float, otherwise: Callable[[str], End]) -> End:
        """What it came to; `otherwise`, with the reason, if it does not end before that instant (monotonic)."""
        self._over.wait(max(0.1, until - time.monotonic()))  # one that is just ending is not given up
        if self._ends:
            return self._ends[0]
        return otherwise("it did not come to its end in time" if self.hangs else "a fault in Interlock")


class Voice:
    """What errands say, until the end has been told: what hangs longer must not speak into it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._lock = say, Lock()
        self._open = True

    def __call__(self, text: str) -> None:
        """A terminal that has gone away keeps nothing from being stopped."""
        with self._lock, suppress(OSError, ValueError):
            if self._open:
                self._say(text)

    def close(self) -> None:
        """Nothing is said any more."""
        with self._lock:
            self._open = False
