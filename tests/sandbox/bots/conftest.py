"""A bot of any of the five systems on a manual clock and venues in memory: what most tests of the bots need."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import httpx
import pytest
import requests

from ops.sandbox.bots.clock import ManualClock
from ops.sandbox.bots.logs import open_log
from ops.sandbox.bots.settings import Settings
from ops.sandbox.bots.system import SYSTEMS, close_worker, make_worker, system_named
from ops.sandbox.bots.trading.loop import Worker
from ops.sandbox.bots.venue import Access, Account, Grid, NewOrder, Quote, VenueFill, VenueOrder, VenueRefused
from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import embedded_world, free_ports_config
from ops.sandbox.world.world import World

ADMIN_TOKEN = "admin-token"
START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SECRET = "canary-secret-4711"
KEY_ID = "PKCANARY0000WXYZ"
GRIDS = {
    "kraken": Grid(Decimal("0.1"), Decimal("0.0001")),
    "kalshi": Grid(Decimal("0.01"), Decimal(1), Decimal(1)),
    "polymarket": Grid(Decimal("0.001"), Decimal("0.01"), Decimal(1)),
    "ibkr": Grid(Decimal("0.01"), Decimal(1)),
    "alpaca": Grid(Decimal("0.01"), Decimal("0.01")),
}
NUMBERS = {"ibkr": ("DU1", "U1"), "alpaca": ("PA3TEST", "912345678")}


class MemoryVenue:
    """`broken` maps a method to the error it raises; with `lose_answers` it accepts, then raises that."""

    def __init__(self, clock: ManualClock, kind: str = "alpaca", mode: str = "paper") -> None:
        self.clock, self.kind = clock, kind
        self.is_open = True
        self.number = NUMBERS.get(kind, ("PAPER-1", "LIVE-1"))[mode == "live"]
        self.equity = self.last_equity = Decimal("100000")
        event = GRIDS[kind].price_max is not None
        self.bid, self.ask = (Decimal("0.50"), Decimal("0.51")) if event else (Decimal("99.99"), Decimal("100.01"))
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
        return Account(self.number, self.equity, self.last_equity)

    def belongs_to(self, account_number: str, mode: str) -> bool:
        return self.kind not in NUMBERS or account_number.startswith(("PA", "DU")) == (mode == "paper")

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        self._gate("quotes")
        return {symbol: Quote(self.bid, self.ask) for symbol in symbols}

    def grid(self, symbol: str) -> Grid:
        return GRIDS[self.kind]

    def client_id(self, prefix: str, digest: str) -> str:
        return f"{prefix}{digest}"[:18]

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
            raise VenueRefused("submit: the id was used before")
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


class LocalHttp:
    """The application called in this process, without a socket."""

    def __init__(self, worker: Worker, host: str = "127.0.0.1") -> None:
        app = system_named(worker.settings.system).app
        assert app is not None
        self._transport = httpx.ASGITransport(app(worker))
        self._base = f"http://{host}"

    def call(self, method: str, path: str, **content: object) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url=self._base) as http:
                return await http.request(method, path, **content)

        return asyncio.run(call())

    def get(self, path: str) -> httpx.Response:
        return self.call("GET", path)

    def post(self, path: str, **content: object) -> httpx.Response:
        return self.call("POST", path, **content)

    def delete(self, path: str) -> httpx.Response:
        return self.call("DELETE", path)


@dataclass
class Rig:
    """A worker and the things it stands on; `venue` is the first of `venues`."""

    worker: Worker
    clock: ManualClock
    venues: dict[str, MemoryVenue]
    settings: Settings

    @property
    def venue(self) -> MemoryVenue:
        return next(iter(self.venues.values()))

    @property
    def submissions(self) -> list[NewOrder]:
        return [order for venue in self.venues.values() for order in venue.submissions]

    def open_orders(self) -> list[VenueOrder]:
        return [order for venue in self.venues.values() for order in venue.open_orders()]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.worker.audit.own_tables() as connection:
            return connection.execute(query).fetchall()

    def run(self, loops: int, seconds: float = 5) -> None:
        for _ in range(loops):
            self.worker.run_once()
            self.clock.advance(seconds)

    def arm(self) -> None:
        """As a person would: by the switch, or by setting and lifting the gate where there is none."""
        state = self.worker.switch.state
        if not state.tripped:
            return
        if self.settings.own_switch:
            assert self.worker.rearm(state.reason)
            return
        self.settings.gate_file.touch()
        self.worker.run_once()
        self.settings.gate_file.unlink()
        self.worker.run_once()
        assert self.worker.stopped_by() is None

    def log_text(self) -> str:
        return self.settings.log_file.read_text()

    def http(self) -> LocalHttp:
        return LocalHttp(self.worker)


USUAL_LIMITS = {
    "MAX_DAILY_LOSS_USD": "500",
    "MAX_SLIPPAGE_BPS": "25",
    "MAX_ORDER_NOTIONAL_USD": "2000",
    "MAX_POSITION_USD": "5000",
    "MAX_ORDERS_PER_DAY": "1000",
}
ALPACA = {"ALPACA_API_KEY": KEY_ID, "ALPACA_SECRET_KEY": SECRET, "ALPACA_BASE_URL": "http://127.0.0.1:9"}
OWN: dict[str, dict[str, str]] = {
    "alpaca-bot": {
        **USUAL_LIMITS,
        **ALPACA,
        "TRADING_MODE": "paper",
        "ENABLE_LIVE_TRADING": "false",
        "CONFIRM_LIVE_TRADING": "false",
        "SYMBOLS": "AAPL",
    },
    "kraken-bot": {
        **USUAL_LIMITS,
        "IS_LIVE": "false",
        "KRAKEN_API_KEY": KEY_ID,
        "KRAKEN_API_SECRET": SECRET,
        "KRAKEN_ACCOUNT": "PAPER-1",
        "CAPITAL_BUFFER_PCT": "20",
        "MAX_DRAWDOWN_PCT": "10",
        "SYMBOLS": "BTC/USD",
    },
    "kalshi-polymarket": {
        "LIVE_TRADING": "false",
        "LIVE_TRADING_INITIAL_BALANCE": "1000",
        "LIVE_TRADING_BET_AMOUNT": "50",
        "LIVE_TRADING_MIN_ROI": "2",
        "LIVE_TRADING_MAX_POSITION_SIZE": "500",
        "LIVE_TRADING_MAX_DAILY_TRADES": "1000",
        "LIVE_TRADING_DAILY_LOSS_LIMIT": "200",
        "LIVE_TRADING_RESET_KEY": "canary-reset-key",
        "MAX_SLIPPAGE_BPS": "500",
        "KALSHI_API_KEY": KEY_ID,
        "KALSHI_PRIVATE_KEY": SECRET,
        "KALSHI_API_URL": "http://127.0.0.1:9",
        "KALSHI_ACCOUNT": "PAPER-1",
        "POLYMARKET_ACCOUNT": "PAPER-1",
        "POLYMARKET_API_KEY": KEY_ID,
        "POLYMARKET_API_SECRET": SECRET,
        "POLYMARKET_PASSPHRASE": SECRET,
        "POLYMARKET_WALLET_KEY": SECRET,
        "SYMBOLS": "kalshi:KXFED-26DEC-T4,polymarket:1001",
    },
    "smart-alpaca": {
        **USUAL_LIMITS,
        **ALPACA,
        "ALPACA_PAPER": "true",
        "NODE_ENV": "production",
        "SYMBOLS": "AAPL",
    },
    "ibkr-assistant": {
        **USUAL_LIMITS,
        "ENV": "paper",
        "IBKR_PORT": "18801",
        "IBKR_ACCOUNT": "DU1",
        "SYMBOLS": "AAPL",
    },
}
LIVE: dict[str, dict[str, str]] = {
    "alpaca-bot": {"TRADING_MODE": "live", "ENABLE_LIVE_TRADING": "true", "CONFIRM_LIVE_TRADING": "true"},
    "kraken-bot": {"IS_LIVE": "true", "KRAKEN_ACCOUNT": "LIVE-1"},
    "kalshi-polymarket": {"LIVE_TRADING": "true", "KALSHI_ACCOUNT": "LIVE-1", "POLYMARKET_ACCOUNT": "LIVE-1"},
    "smart-alpaca": {"ALPACA_PAPER": "false"},
    "ibkr-assistant": {"ENV": "live", "IBKR_PORT": "18802", "IBKR_ACCOUNT": "U1"},
}
WITH_HTTP = tuple(name for name in SYSTEMS if name != "kraken-bot")


def environ_for(home: Path, system: str = "alpaca-bot", **changes: str) -> dict[str, str]:
    """A complete environment of a paper bot; an empty change removes the variable."""
    environ = {
        **OWN[system],
        "SIZE_MULTIPLIER": "1",
        "INSTANCE": "a1",
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

    def begin(system: str = "alpaca-bot", armed: bool = True, **changes: str) -> Rig:
        settings, habits = system_named(system).read(environ_for(tmp_path, system, **changes))
        clock = rigs[-1].clock if rigs else ManualClock(START)
        venues = rigs[-1].venues if rigs else {}

        def open_memory(kind: str, access: Access, _timeout: float | None) -> MemoryVenue:
            return venues.setdefault(kind, MemoryVenue(clock, kind, access.mode))

        log = open_log(settings.log_file, clock, settings.secrets(), settings.anomalies_file)
        rig = Rig(make_worker(settings, habits, clock, log, open_memory), clock, venues, settings)
        rigs.append(rig)
        if armed:
            rig.arm()
        return rig

    yield begin
    for rig in rigs:
        close_worker(rig.worker)


class Outside:
    """The simulated world in this process and the levers of its admin API."""

    def __init__(self, world: World, state: Path) -> None:
        self.ports, self.state = world.ports, state

    def admin(self, lever: str, **body: object) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.ports['admin']}/admin/{lever}"
        answer = requests.post(url, json=body, headers={"X-Sandbox-Token": ADMIN_TOKEN}, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def key(self, environment: str, venue: str = "alpaca") -> Mapping[str, str]:
        """A fresh key for the bot; at Alpaca the one before it stops working."""
        return self.admin("keys", environment=environment, venue=venue, purpose="bot")

    def account_environ(self, home: Path, environment: str = "paper", **changes: str) -> dict[str, str]:
        """An environment of seed 000 with a fresh key of that account."""
        pair = self.key(environment)
        keys = {"ALPACA_API_KEY": pair["key"], "ALPACA_SECRET_KEY": pair["secret"]}
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
