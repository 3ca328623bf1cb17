"""One frozen look at the world, shared by all checks of a run, so that they judge the same instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ops.doors import Doors
from ops.hosts.reply import Reply, is_behind_its_gate
from ops.model.history import History
from ops.model.outcome import Finding, Outcome
from ops.model.profile import Profile, Slot
from ops.venues.protocol import AccountView, FillView, OrderView, PositionView, StatusView

Params = Mapping[str, Any]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Sight:
    """What the hosts showed at `at`, what the ledger tells, and the venue's answers, each asked at most once.

    `asked`: when the hosts were asked, so that each of them answered between then and `at`; None if nobody noted it.
    """

    doors: Doors
    at: datetime
    since: datetime
    replies: Mapping[str, Reply]
    history: History
    _asked: dict[str, Any] = field(default_factory=dict)
    asked: datetime | None = None

    @property
    def profile(self) -> Profile:
        """The system's profile."""
        return self.doors.profile

    @property
    def slot(self) -> Slot:
        """The slot that the committed stage puts in force."""
        return "live" if self.history.live else "paper"

    def account(self, venue: str, slot: Slot) -> AccountView:
        """The venue's account. Raises VenueError."""
        return self.once(f"account/{venue}/{slot}", lambda: self.doors.reader(venue, slot).account())

    def open_orders(self, venue: str, slot: Slot) -> Sequence[OrderView]:
        """The venue's open orders. Raises VenueError."""
        return self.once(f"orders/{venue}/{slot}", lambda: self.doors.reader(venue, slot).open_orders())

    def positions(self, venue: str, slot: Slot) -> Sequence[PositionView]:
        """The venue's positions. Raises VenueError."""
        return self.once(f"positions/{venue}/{slot}", lambda: self.doors.reader(venue, slot).positions())

    def fills(self, venue: str, slot: Slot) -> Sequence[FillView]:
        """The venue's fills since the beginning of this look's window. Raises VenueError."""
        return self.once(f"fills/{venue}/{slot}", lambda: self.doors.reader(venue, slot).fills_since(self.since))

    def all_fills(self, slot: Slot) -> list[FillView]:
        """The fills of every venue. Raises VenueError if one of them does not say."""
        return [fill for venue in self.profile.venues for fill in self.fills(venue, slot)]

    def status(self, venue: str, slot: Slot) -> StatusView:
        """Whether the venue is trading now. Raises VenueError."""
        return self.once(f"status/{venue}/{slot}", lambda: self.doors.reader(venue, slot).status())

    def evidence(self, host: str) -> Mapping[str, Any]:
        """The bot's own records on one host; empty if they could not be read."""
        found = self.replies[host].look.get("evidence") or {}
        return {} if "error" in found else found

    def rows(self, name: str) -> list[Mapping[str, Any]] | None:
        """One kind of record over all hosts; None if any host's could not be read."""
        parts = [self.evidence(host).get(name) for host in self.replies]
        if not parts or any(part is None for part in parts):
            return None
        return [row for part in parts if part is not None for row in part]

    def once(self, name: str, ask: Callable[[], Answer]) -> Answer:
        """An answer that is asked for at most once in this look."""
        if name not in self._asked:
            self._asked[name] = ask()
        answer: Answer = self._asked[name]
        return answer

    def finding(self, check: str, ok: bool | None, seen: str, expected: str = "", remedy: str = "") -> Finding:
        """A finding of this look: None means that it could not be seen."""
        outcome = Outcome.UNKNOWN if ok is None else Outcome.PASS if ok else Outcome.FAIL
        return Finding(check, outcome, seen, self.at, expected, remedy)


def take_sight(
    doors: Doors, history: History, replies: Mapping[str, Reply], window: timedelta, asked: datetime | None = None
) -> Sight:
    """A look that begins now; `window` is how far back records and fills were asked for, `asked` when hosts were."""
    now = doors.clock()
    return Sight(doors, now, now - window, replies, history, asked=asked)


def loaded_values(look: Mapping[str, Any], profile: Profile) -> Mapping[str, Any]:
    """The variables that the process runs with; of a bot that waits at its gate, those that it will start with."""
    part = look.get("env" if is_behind_its_gate(look, profile) else "loaded") or {}
    values: Mapping[str, Any] = part.get("variables") or {}
    return values


def dark_hosts(sight: Sight) -> str:
    """The hosts that did not answer, as text; empty only if there are hosts and all did."""
    if not sight.replies:
        return "none was asked"
    return ", ".join(f"{host}: {reply.error}" for host, reply in sight.replies.items() if not reply.look)
