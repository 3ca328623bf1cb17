"""The world inside another process, in a thread and on free ports: for tests and benchmarks.

The sandbox itself runs the world as a process of its own, `python -m ops.sandbox.world`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ops.sandbox.clock import WorldClock
from ops.sandbox.listings import LISTINGS
from ops.sandbox.world.config import WorldConfig
from ops.sandbox.world.world import World

DASHBOARD = Path(__file__).parent / "grafana" / "alpaca-bot.json"
NUMBERS = {
    "alpaca": ("PA3SANDBOX01", "912345678"),
    "kraken": ("AA11SANDBOXPAPER", "AA11SANDBOXLIVE1"),
    "kalshi": ("demo-member-1", "member-1"),
    "polymarket": ("0x87a51cDC24D7CA4E8C3f524e16D24Db2e8681b06", "0x00DF9e7b5195b57d96e673b756d608bAb5422932"),
    "ibkr": ("DU1234567", "U7654321"),
}
"""The paper and the live account of a venue of each kind, for tests."""


def venue_of(kind: str, **changes: Any) -> dict[str, Any]:
    """A venue of a kind on free ports, with what is listed there; `changes` replace its keys."""
    listing, (paper, live) = LISTINGS[kind], NUMBERS[kind]
    accounts = {
        "paper": {"port": 0, "number": paper, "cash": listing.paper_cash},
        "live": {"port": 0, "number": live, "cash": listing.live_cash},
    }
    return {"kind": kind, **accounts, "symbols": listing.symbols, **changes}


def free_ports_config(
    state: Path,
    targets: tuple[str, ...] = (),
    scrape_seconds: float = 1,
    venues: Mapping[str, Mapping[str, Any]] | None = None,
) -> WorldConfig:
    """A complete configuration on port 0 everywhere, with well-known tokens: good for loopback tests only.

    `venues` by name (see `venue_of`); one of Alpaca if left out.
    """
    return WorldConfig.model_validate(
        {
            "state": state,
            "seed": 7,
            "admin": {"port": 0, "token": "admin-token"},
            "venues": venues or {"alpaca": venue_of("alpaca")},
            "prometheus": {"port": 0, "jobs": {"bot": targets}, "scrape_seconds": scrape_seconds},
            "grafana": {"port": 0, "token": "grafana-token", "dashboards": [DASHBOARD]},
            "slack": {"port": 0, "token": "slack-token", "channel": "#ops", "acknowledge_after_seconds": 0},
            "telegram": {"port": 0, "token": "1:tg", "chat_id": 42, "acknowledge_after_seconds": 0},
        }
    )


@contextlib.contextmanager
def embedded_world(config: WorldConfig, entropy: random.Random, clock: WorldClock) -> Iterator[World]:
    """A world that accepts on all its ports inside the block; `world.ports` says which.

    Raises whatever kept it from starting, and at the end whatever stopped it early.
    """
    ready = threading.Event()
    worlds: list[tuple[World, asyncio.AbstractEventLoop]] = []

    async def live() -> None:
        world = World(config, clock, entropy)
        async with world.running():
            worlds.append((world, asyncio.get_running_loop()))
            ready.set()
            await world.stopping.wait()

    with ThreadPoolExecutor(1, "sandbox-world") as thread:
        life = thread.submit(asyncio.run, live())
        life.add_done_callback(lambda _: ready.set())
        ready.wait()
        if not worlds:
            life.result()
        world, loop = worlds[0]
        try:
            yield world
        finally:
            if not life.done():
                loop.call_soon_threadsafe(world.stopping.set)
            life.result()
