"""A simulated world with a kill target of its own, and the ground truth: what the order log says is still open."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from ops.kill.kill import KillEnd, Killing
from ops.kill.targets import Aim, HostTarget, Target, VenueTarget, folder
from ops.kill.venues import VENUE_MAX_SECONDS, Stopping, VenueEnd
from ops.model.profile import Account
from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import NUMBERS, embedded_world, free_ports_config, venue_of
from ops.sandbox.listings import LISTINGS
from ops.sandbox.world.world import World
from ops.secrets import Secrets
from ops.venues.protocol import Keys, OrderWish, VenueActor
from ops.venues.registry import open_venue
from tests.field import awaited

SLOTS = ("paper", "live")
ONE_KEY_ONLY = ("alpaca",)
NO_KEYS = ("ibkr",)
OURS = "a1"
ENDED = ("canceled", "fill", "expired", "replaced")


@dataclass(frozen=True)
class Scene:
    """One world with a venue of each of these kinds, and Interlock's state folder."""

    world: World
    state: Path
    kinds: tuple[str, ...]

    def admin(self, path: str, **body: Any) -> Any:
        url = f"http://127.0.0.1:{self.world.ports['admin']}/admin/{path}"
        answer = requests.post(url, json=body, headers={"X-Sandbox-Token": "admin-token"}, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def fault(self, name: str, slot: str = "live", on: bool = True, kind: str = "alpaca", **parameters: Any) -> None:
        self.admin("faults", environment=f"{kind}/{slot}", fault=name, on=on, **parameters)

    def file(self, kind: str, slot: str, purpose: str = "bot") -> Path:
        return self.state / "secrets" / f"{kind}-{slot}-{purpose}.env"

    def endpoint(self, kind: str, slot: str) -> str:
        scheme = "tcp" if kind == "ibkr" else "http"
        path = "/trade-api/v2" if kind == "kalshi" else ""
        return f"{scheme}://127.0.0.1:{self.world.ports[f'{kind}_{slot}']}{path}"

    def target(self, kind: str, slot: str, **changes: Any) -> VenueTarget:
        """The account as a profile would compile it, least privilege where the venue has it."""
        kill, observer = (
            (None, None)
            if kind in NO_KEYS
            else (str(self.file(kind, slot, p if p in purposes(kind) else "bot")) for p in ("kill", "observer"))
        )
        bots = () if kind in NO_KEYS else (str(self.file(kind, slot)),)
        return VenueTarget(
            **{
                "venue": kind, "slot": slot, "kind": kind, "endpoint": self.endpoint(kind, slot),
                "account": number(kind, slot), "kill_file": kill, "observer_file": observer,
                "order_prefixes": self.prefixes(kind, slot), "bot_files": bots, **changes,
            }
        )  # fmt: skip

    def prefixes(self, kind: str, slot: str) -> tuple[str, ...]:
        """Polymarket keeps no client ids: the bot's key id tells (its adapter and its brake show it)."""
        if kind != "polymarket":
            return (OURS,)
        return (Secrets(self.state / "secrets").credentials(f"{kind}-{slot}-bot").part("key") + ":",)

    def aim(self, system: str = "alpaca-bot", hosts: tuple[HostTarget, ...] = (), *venues: VenueTarget) -> None:
        """Writes the system's kill target: every account of the world, if none is named."""
        every = tuple(self.target(kind, slot) for kind in self.kinds for slot in SLOTS)
        target = Target(system, str(HOST_PROGRAM), hosts, venues or every)
        Secrets.store(folder(self.state) / f"{system}.target.json", target.as_text())

    def kill(self, *systems: str, venues: Sequence[str] = (), say: Any = lambda text: None) -> KillEnd:
        return Killing(self.state, Aim(systems, tuple(venues)), say).end("a test", "tester")

    def stop(self, slot: str = "live", seconds: float = VENUE_MAX_SECONDS, **changes: Any) -> VenueEnd:
        """One Alpaca account alone."""
        return Stopping(self.target("alpaca", slot, **changes), lambda text: None, seconds=seconds).run()

    def venue(self, method: str, path: str, slot: str = "live", **options: Any) -> requests.Response:
        """A request to the simulated Alpaca with the bot's key."""
        key, secret = Secrets(self.state / "secrets").credentials(f"alpaca-{slot}-bot").values()
        headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}
        return requests.request(
            method, f"{self.endpoint('alpaca', slot)}/v2{path}", headers=headers, timeout=10, **options
        )

    def order(self, name: str, slot: str = "live", **more: str) -> requests.Response:
        """An order at Alpaca, by default a buy far below the market."""
        body = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "limit_price": "100"}
        return self.venue(
            "POST", "/orders", slot, json={**body, "time_in_force": "gtc", "client_order_id": name, **more}
        )

    def actor(self, kind: str, slot: str = "live") -> VenueActor:
        """The venue with the bot's credentials, through the adapter."""
        store = Secrets(self.state / "secrets")
        keys = Keys() if kind in NO_KEYS else Keys(*[store.credentials(f"{kind}-{slot}-bot")] * 3)
        return open_venue(kind, Account(endpoint=self.endpoint(kind, slot), account=number(kind, slot)), keys)  # type: ignore[arg-type]

    def resting(self, kind: str, slot: str, count: int) -> None:
        """Our orders far below the market; a halt is lifted for them."""
        actor = self.actor(kind, slot)
        if actor.latches:
            actor.set_suspended(False)
        symbol, price = next(iter(LISTINGS[kind].symbols.items()))
        limit = Decimal("0.01") if Decimal(price) < 1 else Decimal(price) // 2
        qty = Decimal("0.001") if kind == "kraken" else Decimal(5 if Decimal(price) < 1 else 1)
        for number in range(count):
            actor.place(OrderWish(f"{OURS}{slot[0]}{number:08d}", symbol, "buy", qty, limit))

    def holding(self, kind: str) -> None:
        """A small live position, bought at the market's price."""
        actor = self.actor(kind)
        if actor.latches:
            actor.set_suspended(False)
        symbol, price = next(iter(LISTINGS[kind].symbols.items()))
        limit = Decimal("0.90") if Decimal(price) < 1 else (Decimal(price) * Decimal("1.05")).quantize(Decimal(1))
        qty = Decimal("0.01") if kind == "kraken" else Decimal(5)
        actor.place(OrderWish(f"{OURS}l{time.time_ns() % 10**12}", symbol, "buy", qty, limit))
        awaited(lambda: bool(actor.positions()), what="the fill")

    def truly_open(self, slot: str = "live", kind: str = "alpaca", by: str = "client_order_id") -> set[str]:
        """The client ids (or order ids) that the order log shows as accepted and not ended."""
        still: dict[str, str] = {}
        text = (self.world.config.state / "orders.jsonl").read_text()
        for line in text.rpartition("\n")[0].splitlines():  # the rest is being written at this moment
            row = json.loads(line)
            if (row["environment"], row["venue"]) == (slot, kind) and row["event"] == "accepted":
                still[row["order_id"]] = row[by]
            elif row["event"] in ENDED:
                still.pop(row["order_id"], None)
        return set(still.values())


HOST_PROGRAM = Path(__file__).resolve().parents[2] / "playbooks" / "library" / "interlock_host.py"


def host_request(root: Path, api: str, socket: str = "none.sock") -> dict[str, Any]:
    """What a target file holds for one host, as a profile would compile it."""
    return {
        "op": "kill", "host": "host-1", "system": "alpaca-bot", "root": str(root), "env_file": "keys.env",
        "gate_file": "interlock/gate", "release": "release", "salt": "s",
        "watch": {"shown": ["TRADING_MODE"], "secret": ["ALPACA_API_KEY"]},
        "service": {"manager": "supervisord", "socket": str(root / socket), "name": "bot", "start_max_seconds": 5},
        "api": {
            "url": api,
            "readouts": {"mode": {"path": "/mode"}, "switch": {"path": "/kill_switch"}, "health": {"path": "/health"}},
            "health": {"field": "loop_age_s", "age_max": 10},
            "switch": {"field": "status", "reason": "reason", "words": {"OFF": "armed", "ON": "tripped"}},
            "trip": "POST /kill_switch?reason={reason}",
            "rearm": "DELETE /kill_switch?expected_reason={reason}",
        },
    }  # fmt: skip


def number(kind: str, slot: str) -> str:
    """The account's."""
    return NUMBERS[kind][SLOTS.index(slot)]


def purposes(kind: str) -> tuple[str, ...]:
    """The credentials that are issued for an account."""
    if kind in NO_KEYS:
        return ()
    return ("bot",) if kind in ONE_KEY_ONLY else ("bot", "kill", "observer")


@contextmanager
def scene(root: Path, kinds: tuple[str, ...] = ("alpaca",)) -> Iterator[Scene]:
    """A world with fresh keys in Interlock's secret store, and a target that aims at every account."""
    config = free_ports_config(root / "world", venues={kind: venue_of(kind) for kind in kinds})
    with embedded_world(config, random.Random(1), WorldClock()) as world:
        opened = Scene(world, root / "state", kinds)
        for kind in kinds:
            for slot in SLOTS:
                for purpose in purposes(kind):
                    parts = opened.admin("keys", environment=f"{kind}/{slot}", purpose=purpose)
                    Secrets(root / "state" / "secrets").put(opened.file(kind, slot, purpose).stem, parts)
        opened.aim()
        yield opened
