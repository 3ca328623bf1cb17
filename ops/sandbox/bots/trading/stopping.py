"""Cancelling own orders on all venues at once: one that hangs never spares the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

from ..venue import Venue, VenueError
from .orders import OrderDesk


@runtime_checkable
class _Closing(Protocol):
    """A door with a connection to give back."""

    def close(self) -> None: ...


def cancel_everywhere(desk: OrderDesk, venues: Mapping[str, Venue]) -> int:
    """How many cancels were asked for. Raises VenueError after every venue was asked, if one could not be heard."""
    return _at_once([partial(desk.cancel_own, name, venue) for name, venue in venues.items()])


def cancel_afresh(desk: OrderDesk, openers: Mapping[str, Callable[[], Venue]]) -> int:
    """The same on connections made for this and given back: a stop never waits for the loop's own."""

    def cancel(name: str, opener: Callable[[], Venue]) -> int:
        venue = opener()
        try:
            return desk.cancel_own(name, venue)
        finally:
            if isinstance(venue, _Closing):
                venue.close()

    return _at_once([partial(cancel, name, opener) for name, opener in openers.items()])


def _at_once(tasks: Sequence[Callable[[], int]]) -> int:
    """Daemon threads: a venue that hangs must not keep the process from ending either."""
    asked: list[int] = []
    lost: list[VenueError] = []

    def run(task: Callable[[], int]) -> None:
        try:
            asked.append(task())
        except VenueError as error:
            lost.append(error)

    first, *others = tasks
    threads = [threading.Thread(target=run, args=(task,), daemon=True) for task in others]
    for thread in threads:
        thread.start()
    run(first)
    for thread in threads:
        thread.join()
    if lost:
        raise lost[0]
    return sum(asked)
