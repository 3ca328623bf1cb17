"""A world on free ports, its wall clock in the test's hands."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from hypothesis.configuration import set_hypothesis_home_dir

from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import embedded_world, free_ports_config
from ops.sandbox.faults import WORLD_FAULTS
from ops.sandbox.venues.alpaca.faults import FAULTS
from ops.sandbox.world.world import World

# A folder .hypothesis in the checkout would make pytest warn at its next start, and warnings are errors here.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "interlock-hypothesis")


class HandClock:
    """Wall time that moves only when told."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def later(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Outside:
    """One running world and short ways to its listeners."""

    def __init__(self, world: World, wall: HandClock) -> None:
        self.world = world
        self.wall = wall

    def url(self, listener: str, path: str) -> str:
        return f"http://127.0.0.1:{self.world.ports[listener]}{path}"

    def admin(self, path: str, body: dict[str, object] | None = None, token: str = "admin-token") -> requests.Response:
        url, headers = self.url("admin", f"/admin/{path}"), {"X-Sandbox-Token": token}
        if body is None:
            return requests.get(url, headers=headers, timeout=5)
        return requests.post(url, json=body, headers=headers, timeout=5)


@pytest.fixture
def wall() -> HandClock:
    return HandClock()


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    clock = HandClock()
    config = free_ports_config(tmp_path_factory.mktemp("world"))
    with embedded_world(config, random.Random(1), WorldClock(clock)) as world:
        yield Outside(world, clock)


@pytest.fixture
def outside(shared_world: Outside) -> Iterator[Outside]:
    """One world for all tests of a module: a second later for each, faults off and clock free afterwards."""
    shared_world.wall.later(1)
    yield shared_world
    for name in {**FAULTS, **WORLD_FAULTS}:
        for environment in ("paper", "live"):
            shared_world.admin("faults", {"environment": environment, "fault": name, "on": False})
    shared_world.admin("clock", {"now": None})
