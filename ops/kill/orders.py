"""The orders of one account that were seen or named while it is being stopped, and what proves their end.

What a list no longer shows may be hidden in it, or the list may be old. A final state, however, is for ever: whatever
answer shows an order as ended proves it, and an old answer can only prove less. So an empty list is not enough: every
order that was seen or named must be seen ended, in one request for many where the venue has that (`ManyAtOnce`). Where
it has not, two hundred look-ups would break the rate limit that the cancelling needs. Orders that only the cancel's
answer named are looked up one by one then, since no list ever showed them; of those that a list has shown, WITNESSES
spread over all of them: a list too old to show their end is caught by any one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ops.kill.brake import Brake, ManyAtOnce, Seen
from ops.model.zero import ZeroProof

WITNESSES = 5
PER_ROUND = 40
NAMED = "named by the cancel"
UNWITNESSED = "no cancel was acknowledged, and an empty list alone proves nothing"


class Orders:
    """What is known of them so far."""

    def __init__(self, own_prefixes: tuple[str, ...]) -> None:
        self._own = own_prefixes
        self._known: dict[str, Seen] = {}
        self._listed: set[str] = set()
        self._asked: set[str] = set()
        self._ended: set[str] = set()

    def __len__(self) -> int:
        return len(self._known)

    @property
    def ids(self) -> frozenset[str]:
        """Of all that were seen or named."""
        return frozenset(self._known)

    @property
    def seen_ended(self) -> int:
        """How many were shown in a final state."""
        return len(self._ended)

    def listed(self, orders: Iterable[Seen]) -> frozenset[str]:
        """Takes in what a list shows; returns the ids."""
        shown = {order.id: order for order in orders}
        self._known.update(shown)
        self._listed.update(shown)
        self._ended -= set(shown)
        return frozenset(shown)

    def named(self, ids: Iterable[str]) -> None:
        """Takes in what the cancel's answer names."""
        for order in ids:
            self._known.setdefault(order, Seen(order, "", "", "", "", NAMED, True))

    def foreign(self) -> list[Seen]:
        """Those that our bots did not place; one that nothing has described yet cannot be told."""
        described = [order for order in self._known.values() if order.status != NAMED]
        return [order for order in described if not order.client_id.startswith(self._own)]

    def texts(self, ids: Iterable[str]) -> list[str]:
        """Each as `a1-7 AAPL buy 1 (pending_cancel)`."""
        return [f"{self._known[order]} ({self._known[order].status})" for order in sorted(ids) if order in self._known]

    def protecting(self, position: str) -> list[Seen]:
        """The protective orders of the symbol of `AAPL 1.5`; one that has filled did what it was there for."""
        symbol = position.rsplit(" ", 1)[0]
        stops = [order for order in self._known.values() if order.protective and order.status != "filled"]
        return [order for order in stops if order.symbol.split("/")[0] == symbol.split("/")[0]]

    def confirm(self, brake: Brake, proof: ZeroProof, alone: bool = False) -> ZeroProof:
        """The list shows nothing: now the orders themselves are asked. Raises VenueSilent.

        `alone`: no cancel was ever acknowledged. Then every order must be seen ended, and there must be one to see.
        """
        if alone and not self._known:
            return ZeroProof(0, frozenset(), UNWITNESSED)
        waiting = [order for order in self._known if order not in self._ended]
        if waiting and isinstance(brake, ManyAtOnce):
            self._ended.update(set(brake.ended(waiting)) & set(waiting))
        for order in self._to_ask(alone):
            seen = brake.order(order)
            self._known[order] = replace(seen, protective=seen.protective or self._known[order].protective)
            self._asked.add(order)
            if not seen.open:
                self._ended.add(order)
        still = frozenset(
            o for o in self._known if o not in self._ended and (alone or o in self._asked or o not in self._listed)
        )
        return (
            ZeroProof(0, still, f"{len(still)} orders that the list does not show have not ended") if still else proof
        )

    def _to_ask(self, alone: bool) -> list[str]:
        """Those that had not ended when asked, those that no list has shown, and witnesses from the rest, or all."""
        waiting = [order for order in self._known if order not in self._ended]
        first = [order for order in waiting if alone or order in self._asked or order not in self._listed]
        rest = [order for order in waiting if not alone and order not in self._asked and order in self._listed]
        wanted = max(0, WITNESSES - len(self._asked))
        step = -(-len(rest) // wanted) if wanted and rest else 1
        return [*first[:PER_ROUND], *rest[::step][:wanted]]
