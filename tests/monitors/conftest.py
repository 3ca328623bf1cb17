"""A world whose Prometheus scrapes one bot, which a test may silence."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import embedded_world, free_ports_config
from ops.sandbox.monitoring.faults import FAULTS
from ops.sandbox.world.world import World
from tests.field import awaited
from tests.peers import answering

METRICS = b"""# TYPE bot_up gauge
bot_up 1.0
# TYPE bot_loop_age_seconds gauge
bot_loop_age_seconds 0.5
# TYPE bot_orders_total counter
bot_orders_total{result="accepted"} 5.0
bot_orders_total{result="rejected"} 2.0
"""
NOBODY = "127.0.0.1:9"


@dataclass
class Watched:
    """The running world, and the target that answers."""

    world: World
    instance: str

    @property
    def prometheus(self) -> str:
        return f"http://127.0.0.1:{self.world.ports['prometheus']}"

    @property
    def grafana(self) -> str:
        return f"http://127.0.0.1:{self.world.ports['grafana']}"

    def fault(self, name: str, on: bool = True) -> None:
        url, body = f"http://127.0.0.1:{self.world.ports['admin']}/admin/faults", {"fault": name, "on": on}
        requests.post(url, json=body, headers={"X-Sandbox-Token": "admin-token"}, timeout=5).raise_for_status()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with answering({"GET /metrics": (200, METRICS)}) as url:
        instance = url.removeprefix("http://")
        config = free_ports_config(tmp_path_factory.mktemp("world"), (instance, NOBODY), scrape_seconds=0.05)
        with embedded_world(config, random.Random(1), WorldClock()) as world:
            watched = Watched(world, instance)
            awaited(lambda: "bot_up" in requests.get(f"{watched.prometheus}/api/v1/query?query=bot_up", timeout=5).text)
            yield watched


@pytest.fixture
def watched(running: Watched) -> Iterator[Watched]:
    yield running
    for name in FAULTS:
        running.fault(name, False)
