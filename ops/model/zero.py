"""When are there really no open orders: two consecutive clean reads, each seen from both ends of the list.

A cancellation that the venue acknowledged is not a cancellation, an empty page is not an empty book, and an error is
neither: it starts the count anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

CLEAN_READS_NEEDED = 2


@dataclass(frozen=True)
class ZeroProof:
    """The count so far. `left` are the orders that the last good read showed; None if there was no good read yet."""

    clean_reads: int = 0
    left: frozenset[str] | None = None
    problem: str = "no answer yet"

    @property
    def proven(self) -> bool:
        """Zero was seen often enough."""
        return self.clean_reads >= CLEAN_READS_NEEDED

    def read(self, newest_first: Collection[str], oldest_first: Collection[str]) -> ZeroProof:
        """One read from both ends. If the two disagree, the list is not to be trusted."""
        left = frozenset(newest_first) | frozenset(oldest_first)
        if frozenset(newest_first) != frozenset(oldest_first):
            return ZeroProof(0, left, "the venue's list of open orders contradicts itself")
        if left:
            return ZeroProof(0, left, f"{len(left)} open orders left")
        return ZeroProof(self.clean_reads + 1, left, "")

    def failed(self, problem: str) -> ZeroProof:
        """A read that brought no answer: the count starts anew."""
        return ZeroProof(0, self.left, problem)
