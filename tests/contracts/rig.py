"""What the clauses of the contract hold of a venue: its facts, its simulator, doors to it, its order log, its clock."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from ops.model.profile import Kind
from ops.sandbox.clock import WorldClock
from ops.sandbox.venues.simulators import open_simulator
from ops.sandbox.venues.venue import Opening
from ops.secrets import Credentials
from ops.venues.protocol import Keys, KeyView, OrderWish, VenueActor
from ops.venues.registry import ADAPTERS
from tests.contracts.serving import Served, serving

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
"""A Friday at noon in New York: every venue trades."""
PURPOSES = ("bot", "observer", "kill")
BETWEEN_CASES = timedelta(minutes=1)
PATIENCE_SECONDS = 15.0
"""A door's timeout where no silence is meant: long, for a busy machine. Silence has faults of its own."""

Parts = Mapping[str, str]


@dataclass(frozen=True)
class Facts:
    """What one venue is like, in its own words. Faults are named as in the simulator's catalogue, each in one place.

    `numbers`, `paper`: account number, and what `AccountView.paper` must say, per environment. `symbols`: listed ones
    with their base price in USD, `symbol` the one to trade. A buy of `qty` at `resting` stays open, at `crossing` it
    fills at once. `client_id(n)` is the n-th id in a form that the venue takes. `page`: orders or fills that the venue
    shows at once. `key_views`: purpose -> what `key()` must say of such a key. `may`: purpose -> which of `read`,
    `cancel`, `trade` that key may do. `flaws`: name -> what is done to good credentials to make them wrong.
    `refused`: fault -> status of the VenueError, raised by every call. `writes_refused`: the same for changes only.
    `lost_after`: accepted, but the answer says nothing. `silent`: no answer at all. `lies`: the answer looks good and
    is not true. `timeout_seconds` is a door's where
    silence is meant. `filled`, `canceled`: the venue's own words. `states`: fault -> `status().state` while it is on.
    """

    kind: Kind
    numbers: Mapping[str, str]
    paper: Mapping[str, bool | None]
    symbols: Mapping[str, Decimal]
    symbol: str
    qty: Decimal
    resting: Decimal
    crossing: Decimal
    client_id: Callable[[int], str]
    page: int
    key_views: Mapping[str, KeyView]
    may: Mapping[str, frozenset[str]]
    flaws: Mapping[str, Callable[[Parts], Parts]]
    refused: Mapping[str, int | None]
    lost_after: Sequence[str]
    silent: Sequence[str]
    lies: Sequence[str]
    filled: str
    canceled: str
    writes_refused: Mapping[str, int | None] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    key_refused: frozenset[int | None] = frozenset({401, 403})
    latches: bool = False
    timed: bool = False
    keyed: bool = True
    http: bool = True
    cash: Decimal = Decimal(1_000_000)
    timeout_seconds: float = 0.6

    def catalogue(self) -> set[str]:
        """Every fault that has its place here."""
        return {*self.refused, *self.writes_refused, *self.lost_after, *self.silent, *self.lies}


class Rig:
    """One running simulator; `begin` makes it quiet for the next case."""

    def __init__(self, facts: Facts, served: Served, clock: WorldClock, lines: list[dict[str, Any]]) -> None:
        self.facts, self.served, self.clock, self.lines = facts, served, clock, lines
        self.requests: list[dict[str, Any]] = []
        self._keys: dict[str, Keys] = {}
        self._doors: list[VenueActor] = []
        self._ids = count()
        self.start = self.now = NOON

    # doors

    def issue(self, environment: str, purpose: str) -> Parts:
        """New credentials, as a person makes them on the venue's site; the former one dies where it has one only."""
        if len(self.facts.may) == 1:
            self._keys.pop(environment, None)
        return self.served.do(lambda: self.served.venue.issue_key(environment, purpose))

    def keys(self, environment: str = "paper") -> Keys:
        """The same good keys for every case; where the venue has one key only, all three purposes share it."""
        if environment not in self._keys:
            self._keys[environment] = self._new_keys(environment)
        return self._keys[environment]

    def _new_keys(self, environment: str) -> Keys:
        if not self.facts.keyed:
            return Keys()
        if len(self.facts.may) == 1:
            one = credentials(self.issue(environment, "bot"))
            return Keys(one, one, one)
        return Keys(**{purpose: credentials(self.issue(environment, purpose)) for purpose in PURPOSES})

    def door(
        self,
        environment: str = "paper",
        keys: Keys | None = None,
        endpoint: str = "",
        timeout_seconds: float | None = None,
    ) -> VenueActor:
        """The adapter under test, closed again by the next `begin` if it can be."""
        module, name = ADAPTERS[self.facts.kind]
        made: VenueActor = getattr(import_module(module), name)(
            endpoint or self.served.endpoints[environment],
            self.facts.numbers[environment],
            keys if keys is not None else self.keys(environment),
            timeout_seconds=timeout_seconds or PATIENCE_SECONDS,
        )
        self._doors.append(made)
        return made

    def only(self, purpose: str, environment: str = "paper") -> VenueActor:
        """A door where the key of one purpose must serve for all."""
        key = getattr(self.keys(environment), purpose)
        return self.door(environment, Keys(key, key, key))

    # the venue

    def fault(self, name: str, environment: str = "paper", on: bool = True, **parameters: Any) -> None:
        self.served.do(lambda: self.served.venue.switch_fault(environment, name, on, parameters))

    def no_faults(self) -> None:
        board = self.served.venue.faults
        for environment, name in list(board.active):
            self.fault(name, environment, on=False)

    def later(self, seconds: float) -> None:
        """Let venue time pass."""
        self.now += timedelta(seconds=seconds)
        self.served.do(self._pin)

    def _pin(self) -> None:
        self.clock.pin(self.now)
        self.served.venue.pin_clock(self.now)

    def by_hand(self, side: str = "buy", price: Decimal | None = None, qty: Decimal | None = None) -> str:
        """An order from the venue's own site on the paper account; returns its id if the venue's answer has one."""
        facts = self.facts
        body = {"symbol": facts.symbol, "side": side, "qty": str(qty or facts.qty)}
        body["limit_price"] = str(facts.resting if price is None else price)
        made = self.served.do(lambda: self.served.venue.place_by_hand("paper", body))
        return str(made.get("id", ""))

    def begin(self) -> None:
        """No fault, no order; venue time some minutes after that of the last case."""
        self.no_faults()
        for environment in {"paper": None, **self._keys}:
            self._quieten(environment)
        for door in self._doors:
            getattr(door, "close", lambda: None)()
        self._doors.clear()
        took = self.now - self.start
        # A case that jumped through days does not take the others with it, into the night or a weekend.
        self.start += BETWEEN_CASES + (took if timedelta(0) < took < timedelta(hours=1) else timedelta(0))
        self.now = self.start
        self.later(0)

    def _quieten(self, environment: str) -> None:
        door = self.door(environment)
        if self.facts.latches and door.account().suspended:
            door.set_suspended(False)
        if self.facts.timed:
            door.set_dead_man(None)
        door.cancel_all()
        self.later(1)
        assert [order.id for order in door.open_orders()] == []

    # orders

    def client_id(self) -> str:
        """One that no case has used."""
        return self.facts.client_id(next(self._ids))

    def wish(self, client_id: str = "", crossing: bool = False) -> OrderWish:
        """A buy that rests, or one that fills at once."""
        facts = self.facts
        price = facts.crossing if crossing else facts.resting
        return OrderWish(client_id or self.client_id(), facts.symbol, "buy", facts.qty, price)

    def log(self, **wanted: Any) -> list[dict[str, Any]]:
        """Lines of the venue's order log, of this case, with those values."""
        since = self.start.strftime("%Y-%m-%dT%H:%M:%S")
        lines = [line for line in self.lines if line["time"] >= since]
        return [line for line in lines if all(line[key] == value for key, value in wanted.items())]

    def events(self, client_id: str) -> list[str]:
        return [line["event"] for line in self.log(client_order_id=client_id)]


def credentials(parts: Parts) -> Credentials:
    return Credentials("under-test", dict(parts))


@contextlib.contextmanager
def rigged(facts: Facts, folder: Path) -> Iterator[Rig]:
    """A rig on a new simulator of that kind, for a module's fixture."""
    clock, lines, requests = WorldClock(), [], []
    clock.pin(NOON)
    opening = Opening(
        accounts={name: (number, facts.cash) for name, number in facts.numbers.items()},
        symbols=facts.symbols,
        seed=7,
        state=folder,
        clock=clock,
        entropy=random.Random(1),
        record=lines.append,
        request=requests.append,
    )
    with serving(lambda: open_simulator(facts.kind, opening)) as served:
        rig = Rig(facts, served, clock, lines)
        rig.requests = requests
        yield rig
