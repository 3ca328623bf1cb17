"""The fleets of a test run: one with bots on paper, and one of bare hosts; each is booted when first asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.sandbox.fleet.ground import Ground
from tests.fleet.rig import Host, Rig, bare, fleet, need_a_fleet


@pytest.fixture(scope="session")
def session_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Three systemd hosts with alpaca-bot and one Docker host with ibkr-assistant, on paper at first."""
    need_a_fleet()
    with fleet(tmp_path_factory.mktemp("fleet")) as found:
        yield found


@pytest.fixture
def rig(session_rig: Rig) -> Iterator[Rig]:
    """The same, with every cable plugged in and nothing paused afterwards."""
    yield session_rig
    for machine in session_rig.ground.machines:
        Host(machine).restore()


@pytest.fixture(scope="session")
def bare_ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One bare host with systemd (`bare-1`) and one with a Docker engine (`bare-docker`)."""
    need_a_fleet()
    with bare(tmp_path_factory.mktemp("bare")) as found:
        yield found


@pytest.fixture
def systemd_host(bare_ground: Ground) -> Host:
    """A bare Debian host with systemd."""
    return Host(bare_ground.machine("bare-1"))


@pytest.fixture
def compose_host(bare_ground: Ground) -> Host:
    """A bare host with a Docker engine."""
    return Host(bare_ground.machine("bare-docker"))
