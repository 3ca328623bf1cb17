"""A small world in memory: hosts that obey the host program's rules, a venue per account, a ledger, and a clock.

Every change calls `World.changed`, so that a test can look at, or keep, the world after each of them: what is kept is
exactly what a crash at that instant leaves behind. tests/playbooks holds the hosts here against the real program.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

from ops.errors import VenueError
from ops.hosts.ansible import PLAYBOOKS
from ops.ledger.store import LedgerUnavailable
from ops.model.canonical import digest, utc_text, utc_time
from ops.model.record import GENESIS, Record, chained
from ops.venues.protocol import AccountView, FillView, OrderView, PositionView

BEGINNING = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
HELPER = digest((PLAYBOOKS / "library" / "interlock_host.py").read_text())
LIVE_WORDS = {"TRADING_MODE": "live", "ENABLE_LIVE_TRADING": "true", "CONFIRM_LIVE_TRADING": "true"}
Said = dict[str, Any]


class Refusal(Exception):
    """The host program's refusal: a code for the machine."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


@dataclass
class SimHost:
    """One host. Its values are replaced, never changed in place, so that a shallow copy is a copy."""

    name: str
    env_text: str
    world: World = field(repr=False)
    loaded: Mapping[str, str] | None = None
    switch: tuple[bool, str] = (False, "re-armed")
    gate: Said | None = None
    fence: Said | None = None
    deadline: Said | None = None
    revert_text: str | None = None
    starts: int = 1
    release: str = "0" * 64
    unit: str | None = None
    starts_gated: bool = False
    strays: tuple[int, ...] = ()
    says: str = ""
    keeps_process: bool = False

    @property
    def declared(self) -> Mapping[str, str]:
        return dict(line.split("=", 1) for line in self.env_text.splitlines())

    @property
    def armed(self) -> bool:
        """Whether the bot would place an order right now."""
        return self.loaded is not None and not self.switch[0] and self.gate is None

    @property
    def mode(self) -> str:
        return mode_of(self.loaded)

    def perform(self, request: Mapping[str, Any]) -> Said:
        """One request, answered as the host program answers it."""
        answer: Said = {"host": self.name, "op": request["op"], "ok": True, "error": None, "done": {}}
        self.world.in_hand = request
        try:
            if code := self.world.refuses(self.name, request):
                raise Refusal(code)
            answer["done"] = getattr(self, f"op_{request['op']}")(request) or {}
        except Refusal as refusal:
            answer |= {"ok": False, "error": {"code": refusal.code, "text": refusal.code}}
        self.world.in_hand = {}
        return {**answer, "look": self.look(request)}

    def op_look(self, request: Mapping[str, Any]) -> None:
        """Nothing but the look."""

    def op_trip(self, request: Mapping[str, Any]) -> Said:
        self._take_fence(request["fence"])
        return self.trip(request["by"])

    def trip(self, by: str) -> Said:
        self._set(gate={"by": by, "at": utc_text(self.world.now)})
        if self.loaded is None:
            return {"gate": "set", "api": {"ok": False}}
        self._set(switch=(True, by))
        return {"gate": "set", "api": {"ok": True}}

    def op_arm(self, request: Mapping[str, Any]) -> Said:
        self._match_fence(request["fence"])
        until = self.world.now + timedelta(seconds=request["deadline_seconds"])
        self._set(revert_text=self.env_text)
        self._set(deadline={**request["fence"], "at": utc_text(until)})
        return {"until": utc_text(until)}

    def op_flip(self, request: Mapping[str, Any]) -> None:
        self._match_fence(request["fence"])
        if self.gate is None:
            raise Refusal("not-halted")
        if request.get("compare_sha256") not in (None, digest_of(self.env_text)):
            raise Refusal("changed")
        self._set(env_text=request["env_text"])
        self._recreate()

    def op_restart(self, request: Mapping[str, Any]) -> None:
        self._match_fence(request["fence"])
        self._recreate()

    def op_rearm(self, request: Mapping[str, Any]) -> None:
        self._match_fence(request["fence"])
        if self.gate is not None and self.gate["by"] != request["by"]:
            raise Refusal("tripped-anew")
        if self.deadline is not None:
            raise Refusal("armed-deadline")
        self._set(gate=None)
        if self.loaded is None and self.starts_gated:
            self._set(loaded=self.declared, starts=self.starts + 1)
            if self.world.comes_up_as:
                self.says = self.world.comes_up_as
        if self.switch != (True, request["expected_reason"]):
            self._set(gate={"by": request["by"], "at": utc_text(self.world.now)})
            raise Refusal("not-rearmed")
        self._set(switch=(False, "re-armed"))

    def op_disarm(self, request: Mapping[str, Any]) -> None:
        self._match_fence(request["fence"])
        self._set(deadline=None)
        self._set(revert_text=None)

    def watch(self) -> None:
        """The host's own deadline: gone back to what it had, and halted, when nobody committed in time."""
        if self.deadline is None or self.world.now < utc_time(self.deadline["at"]):
            return
        self.trip(f"deadline-{self.deadline['transition']}")
        self._set(fence={**(self.fence or {"transition": "deadline", "epoch": 0}), "reverted": True})
        if self.revert_text is not None:
            self._set(env_text=self.revert_text)
        self._recreate()
        self._set(deadline=None)

    def _take_fence(self, given: Said) -> None:
        stored = self.fence or {"epoch": 0, "transition": None}
        same = given["transition"] == stored["transition"]
        if given["epoch"] < stored["epoch"] or (given["epoch"] == stored["epoch"] and not same):
            raise Refusal("fenced")
        if given["epoch"] > stored["epoch"]:
            self._set(fence=dict(given))

    def _match_fence(self, given: Said) -> None:
        stored = self.fence or {}
        if (given["transition"], given["epoch"]) != (stored.get("transition"), stored.get("epoch")) or stored.get(
            "reverted"
        ):
            raise Refusal("fenced")

    def _recreate(self) -> None:
        before = self.loaded
        self._set(loaded=None)
        if self.starts_gated and self.gate is not None:
            return
        self._set(loaded=before if self.keeps_process else self.declared, starts=self.starts + 1)

    def _set(self, **values: Any) -> None:
        """One durable change."""
        for name, value in values.items():
            setattr(self, name, value)
        self.world.changed(f"{self.name} {' '.join(values)}")

    def look(self, request: Mapping[str, Any]) -> Said:
        running = self.loaded is not None
        return {
            "at": utc_text(self.world.now),
            "env": {
                "sha256": digest_of(self.env_text),
                "mode": "0600",
                "problems": [],
                "unknown_keys": [],
                **shown(self.declared, request),
            },
            "loaded": shown(self.loaded, request) if self.loaded is not None else None,
            "process": {
                "state": "RUNNING" if running else "STOPPED",
                "pid": 100 + self.starts if running else None,
                "listening": ["127.0.0.1:18411"],
            },
            "disk": {"free_bytes": 50_000_000_000},
            "evidence": {"orders": [], "fills": []},
            "api": self._api() if running else {},
            "gate": self.gate,
            "fence": self.fence,
            "deadline": self.deadline,
            "release_sha256": self.release,
            "unit_sha256": self.unit,
            "instances": {"expected": [100 + self.starts] if running else [], "strays": list(self.strays)},
            "machine": {"id": "a" * 16, "root": f"/srv/{self.name}", "python": "3.11.2", "utc_offset_s": 0},
            "helper": {"sha256": HELPER},
            "watcher": {"at": utc_text(self.world.now)},
            "secret_in_argv_pids": [],
            "secret_in_release_files": [],
        }

    def _api(self) -> Said:
        status = "ON" if self.switch[0] or self.gate is not None else "OFF"
        venue = self.world.venues[self.mode]
        return {
            "mode": {"mode": self.says or self.mode, "account": venue.number},
            "switch": {"status": status, "reason": self.switch[1]},
            "health": {"loop_age_s": 0.1},
        }


def mode_of(values: Mapping[str, str] | None) -> str:
    """The bot's own rule: live only if all three variables say so."""
    live = values is not None and all(values.get(name) == word for name, word in LIVE_WORDS.items())
    return "live" if live else "paper"


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def shown(values: Mapping[str, str], request: Mapping[str, Any]) -> Said:
    watch, salt = request["watch"], request["salt"].encode()
    mark = {
        n: hmac.new(salt, values[n].encode(), hashlib.sha256).hexdigest()[:16] for n in watch["secret"] if values.get(n)
    }
    return {"variables": {name: values.get(name) for name in watch["shown"]}, "fingerprints": mark}


@dataclass
class SimVenue:
    """One account. A cancellation takes effect only at the read after it, as at a real venue."""

    slot: str
    number: str
    world: World = field(repr=False)
    open: Mapping[str, str] = field(default_factory=dict)
    cancelling: bool = False
    held: Mapping[str, str] = field(default_factory=dict)
    accepted: int = 0
    latches: bool = False
    timed: bool = False

    def account(self) -> AccountView:
        self.world.asked_venue(self.slot)
        money = Decimal(50000)
        return AccountView(self.number, self.slot == "paper", money, money, money, False, False)

    def open_orders(self, newest_first: bool = True) -> list[OrderView]:
        self.world.asked_venue(self.slot)
        if self.cancelling:
            self.open, self.cancelling = {}, False
        return [self._view(order) for order in self.open]

    def order(self, order_id: str) -> OrderView:
        self.world.asked_venue(self.slot)
        return self._view(order_id)

    def order_by_client_id(self, client_id: str) -> OrderView | None:
        return self._view(client_id)

    def positions(self) -> list[PositionView]:
        self.world.asked_venue(self.slot)
        return [PositionView(symbol, Decimal(qty), Decimal(100)) for symbol, qty in self.held.items()]

    def fills_since(self, since: datetime) -> list[FillView]:
        return []

    def cancel_all(self) -> int:
        self.world.asked_venue(self.slot)
        self.cancelling = True
        self.world.changed(f"{self.slot} cancel")
        return len(self.open)

    def never(self, *given: object) -> NoReturn:
        raise VenueError("never asked for here")

    key = status = windows = place = cancel = set_suspended = set_dead_man = close_position = never

    def take(self, client_id: str) -> None:
        """A bot's order."""
        self.accepted += 1
        self.open = {**self.open, client_id: client_id}

    def _view(self, order: str) -> OrderView:
        status = "new" if order in self.open else "canceled"
        return OrderView(order, order, "AAPL", "buy", Decimal(1), status, self.world.now, status == "new")


@dataclass
class World:
    """All of it. `in_hand` is the request that a host is carrying out; `on_change` is told of each change."""

    hosts: dict[str, SimHost] = field(default_factory=dict)
    venues: dict[str, SimVenue] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    now: datetime = BEGINNING
    ids: int = 0
    appends: int = 0
    requests: int = 0
    venue_calls: int = 0
    in_hand: Mapping[str, Any] = field(default_factory=dict)
    on_change: Callable[[World, str], None] | None = None
    on_request: Callable[[str, Mapping[str, Any]], None] | None = None
    loses_requests: bool = False
    comes_up_as: str = ""
    waves: list[tuple[str, list[str]]] = field(default_factory=list)
    refuses: Callable[[str, Mapping[str, Any]], str] = lambda host, request: ""
    ledger_fails: Callable[[int], bool] = lambda number: False
    request_fails: Callable[[int, str], str] = lambda number, host: ""
    venue_fails: Callable[[int, str], bool] = lambda number, slot: False

    def copied(self) -> World:
        """A world of its own, in the same state, with nobody watching and nothing failing."""
        twin = World(now=self.now, ids=self.ids, records=list(self.records))
        twin.hosts = {name: copy.copy(host) for name, host in self.hosts.items()}
        twin.venues = {slot: copy.copy(venue) for slot, venue in self.venues.items()}
        for part in (*twin.hosts.values(), *twin.venues.values()):
            part.world = twin
        return twin

    def changed(self, what: str) -> None:
        """Something durable happened. Armed bots trade between any two changes."""
        self.now += timedelta(milliseconds=10)
        for host in self.hosts.values():
            venue = self.venues[host.mode]
            if host.armed and not any(order.startswith(host.name) for order in venue.open):
                venue.take(f"{host.name}-{venue.accepted}")
        if self.on_change:
            self.on_change(self, what)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        for host in self.hosts.values():
            host.watch()

    def new_id(self) -> str:
        self.ids += 1
        return f"t{self.ids:05}"

    def monotonic(self) -> float:
        return (self.now - BEGINNING).total_seconds()

    def asked_venue(self, slot: str) -> None:
        self.venue_calls += 1
        if self.venue_fails(self.venue_calls, slot):
            raise VenueError(f"no answer from the {slot} venue")

    def append(self, kind: str, actor: str, body: Mapping[str, Any]) -> Record:
        self.appends += 1
        if self.ledger_fails(self.appends):
            raise LedgerUnavailable("no space left on device")
        prev = self.records[-1].hash if self.records else GENESIS
        record = chained(len(self.records) + 1, prev, kind, utc_text(self.now), actor, body)
        self.records.append(record)
        self.changed(f"ledger {kind} {body.get('step', body.get('outcome', ''))}")
        return record
