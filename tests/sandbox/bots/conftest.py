"""A bot on a manual clock and a venue in memory: what most tests of the bot need."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import pytest
import requests

from ops.sandbox.bots.audit import Audit
from ops.sandbox.bots.clock import ManualClock
from ops.sandbox.bots.faults import Faults
from ops.sandbox.bots.logs import open_log
from ops.sandbox.bots.loop import Parts, Worker
from ops.sandbox.bots.settings import Settings, read_settings
from ops.sandbox.bots.switch import Switch
from ops.sandbox.bots.venue import Account, NewOrder, Quote, VenueFill, VenueOrder, VenueRefused
from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import embedded_world, free_ports_config
from ops.sandbox.world import World

ADMIN_TOKEN = "admin-token"
START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SECRET = "canary-secret-4711"
KEY_ID = "PKCANARY0000WXYZ"


class MemoryVenue:
    """`broken` maps a method to the error it raises; with `lose_answers` it accepts, then raises that."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.is_open = True
        self.number = "PA3TEST"
        self.equity = Decimal("100000")
        self.bid, self.ask = Decimal("99.99"), Decimal("100.01")
        self.slip = Decimal(0)
        self.orders: dict[str, VenueOrder] = {}
        self.booked: list[VenueFill] = []
        self.submissions: list[NewOrder] = []
        self.cancels: list[str] = []
        self.broken: dict[str, Exception] = {}
        self.lose_answers: Exception | None = None

    def _gate(self, method: str) -> None:
        if method in self.broken:
            raise self.broken[method]

    def market_open(self) -> bool:
        self._gate("market_open")
        return self.is_open

    def account(self) -> Account:
        self._gate("account")
        return Account(self.number, self.equity, Decimal("100000"))

    def belongs_to(self, account_number: str, mode: str) -> bool:
        return account_number.startswith("PA") == (mode == "paper")

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        self._gate("quotes")
        return {symbol: Quote(self.bid, self.ask) for symbol in symbols}

    def open_orders(self) -> list[VenueOrder]:
        self._gate("open_orders")
        return [order for order in self.orders.values() if order.status in ("new", "pending_cancel")]

    def order(self, order_id: str) -> VenueOrder:
        self._gate("order")
        return next(order for order in self.orders.values() if order.order_id == order_id)

    def find_order(self, client_order_id: str) -> VenueOrder | None:
        self._gate("find_order")
        return self.orders.get(client_order_id)

    def submit(self, order: NewOrder) -> VenueOrder:
        self._gate("submit")
        if order.client_order_id in self.orders:
            raise VenueRefused("submit: HTTP 422 client_order_id must be unique")
        self.submissions.append(order)
        seen = self.place(order)
        if self.lose_answers is not None:
            raise self.lose_answers
        return seen

    def place(self, order: NewOrder) -> VenueOrder:
        touch = self.ask if order.side == "buy" else self.bid
        crosses = order.limit_price >= touch if order.side == "buy" else order.limit_price <= touch
        order_id = str(uuid5(NAMESPACE_URL, order.client_order_id))
        status = "filled" if crosses else "new"
        seen = VenueOrder(order_id, order.client_order_id, order.symbol, order.side, order.qty, status)
        self.orders[order.client_order_id] = seen
        if crosses:
            price = touch + self.slip if order.side == "buy" else touch - self.slip
            fill_id = f"{len(self.booked):017}::{order_id}"
            now = self.clock.now()
            self.booked.append(VenueFill(fill_id, order_id, order.symbol, order.side, order.qty, price, now))
        return seen

    def cancel(self, order_id: str) -> None:
        self._gate("cancel")
        self.cancels.append(order_id)
        order = self.order(order_id)
        self.orders[order.client_order_id] = replace(order, status="canceled")

    def fills(self, after: datetime | None) -> list[VenueFill]:
        self._gate("fills")
        return [fill for fill in self.booked if after is None or fill.at >= after]


@dataclass
class Rig:
    """A worker and the things it stands on."""

    worker: Worker
    clock: ManualClock
    venue: MemoryVenue
    settings: Settings

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return self.worker.audit._connection.execute(query).fetchall()

    def run(self, loops: int, seconds: float = 5) -> None:
        for _ in range(loops):
            self.worker.run_once()
            self.clock.advance(seconds)

    def log_text(self) -> str:
        return (self.settings.home / "var" / "log" / "bot.log").read_text()


def environ_for(home: Path, **changes: str) -> dict[str, str]:
    """A complete environment of a paper bot; an empty change removes the variable."""
    environ = {
        "TRADING_MODE": "paper",
        "ENABLE_LIVE_TRADING": "false",
        "CONFIRM_LIVE_TRADING": "false",
        "ALPACA_API_KEY": KEY_ID,
        "ALPACA_SECRET_KEY": SECRET,
        "ALPACA_BASE_URL": "http://127.0.0.1:9",
        "SIZE_MULTIPLIER": "1",
        "INSTANCE": "a1",
        "SYMBOLS": "AAPL",
        "MAX_DAILY_LOSS_USD": "500",
        "MAX_SLIPPAGE_BPS": "25",
        "MAX_ORDER_NOTIONAL_USD": "2000",
        "MAX_POSITION_USD": "5000",
        "MAX_ORDERS_PER_DAY": "1000",
        "BOT_HOME": str(home),
        "BOT_PORT": "0",
        "GATE_FILE": str(home / "gate"),
        "LOOP_SECONDS": "1",
        "SIGNAL_SECONDS": "5",
    }
    return {name: value for name, value in {**environ, **changes}.items() if value}


Start = Callable[..., Rig]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts (or restarts, on the same files) a bot; `armed=False` leaves the switch as it is found."""
    rigs: list[Rig] = []

    def begin(armed: bool = True, **changes: str) -> Rig:
        (tmp_path / "var").mkdir(exist_ok=True)
        settings = read_settings(environ_for(tmp_path, **changes))
        clock = rigs[-1].clock if rigs else ManualClock(START)
        venue = rigs[-1].venue if rigs else MemoryVenue(clock)
        parts = Parts(
            venue=venue,
            kill_venue=lambda: venue,
            audit=Audit(tmp_path / "var" / f"audit-{settings.mode}.sqlite", settings.mode, settings.instance),
            switch=Switch(tmp_path / "var" / "switch.sqlite", clock),
            faults=Faults(tmp_path),
            log=open_log(tmp_path, clock, (SECRET,)),
        )
        rig = Rig(Worker(settings, clock, parts), clock, venue, settings)
        if armed and rig.worker.switch.state.tripped:
            assert rig.worker.rearm(rig.worker.switch.state.reason)
        rigs.append(rig)
        return rig

    yield begin
    for rig in rigs:
        rig.worker.audit.close()
        rig.worker.switch.close()
        for handler in rig.worker.log.handlers:
            handler.close()


class Outside:
    """The simulated world in this process and the levers of its admin API."""

    def __init__(self, world: World, state: Path) -> None:
        self.ports, self.state = world.ports, state

    def admin(self, lever: str, **body: object) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.ports['admin']}/admin/{lever}"
        answer = requests.post(url, json=body, headers={"X-Sandbox-Token": ADMIN_TOKEN}, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def account_environ(self, home: Path, environment: str = "paper", **changes: str) -> dict[str, str]:
        """An environment with a fresh key of that account; the keys before it stop working."""
        pair = self.admin("keys", environment=environment)
        keys = {"ALPACA_API_KEY": pair["key_id"], "ALPACA_SECRET_KEY": pair["secret"]}
        url = f"http://127.0.0.1:{self.ports[f'alpaca_{environment}']}"
        return environ_for(home, **{**keys, "ALPACA_BASE_URL": url, "SYMBOLS": "AAPL,MSFT", **changes})

    def order_log(self) -> list[dict[str, str]]:
        """The venue's own record, the ground truth."""
        return [json.loads(line) for line in (self.state / "orders.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    state = tmp_path_factory.mktemp("world")
    with embedded_world(free_ports_config(state), random.Random(1), WorldClock()) as world:
        yield Outside(world, state)
