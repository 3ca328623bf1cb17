"""Both systems on real hosts, up and down again, over ssh. Each test goes on where the one before it stopped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drills.truth import assert_order_log_is_clean, assert_paper_and_tripped, open_orders
from tests.fleet.rig import COMPOSE, SYSTEMD, Rig

SYSTEMS = (SYSTEMD, COMPOSE)
BOTS = {SYSTEMD: "-m bots.run alpaca-bot", COMPOSE: "python3 -m bots.run ibkr-assistant"}


def loaded(rig: Rig, system: str) -> list[dict[str, str]]:
    """The environment of the process that trades, on each host of a system; exactly one per host."""
    found = []
    for name in rig.hosts(system):
        host = rig.host(name)
        pids = [pid for pid in host.pids(BOTS[system]) if "docker-init" not in host.sh(f"cat /proc/{pid}/comm")]
        assert len(pids) == 1, f"{name}: {pids}"
        found.append(host.environ(pids[0]))
    return found


def assert_loaded(rig: Rig, system: str, mode: str) -> None:
    """Every bot's process was started with every mode variable as this mode has it."""
    variables: dict[str, Any] = rig.read_profile(system)["mode"]["variables"]
    wanted = {name: two[mode] for name, two in variables.items()}
    for environ in loaded(rig, system):
        assert {name: environ.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_fresh_fleet_trades_on_paper(rig: Rig, system: str) -> None:
    assert_loaded(rig, system, "paper")
    assert rig.orders("paper", "accepted", system) and not rig.orders("live", "accepted", system)


@pytest.mark.parametrize("system", SYSTEMS)
def test_it_goes_live_over_ssh(rig: Rig, system: str) -> None:
    done = rig.invoke("go-live", "--env=fleet", f"--system={system}", seconds=240)
    assert done.code == 0, done.out
    assert "is LIVE at stage live-1" in done.last
    assert_loaded(rig, system, "live")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_hosts_are_verified(rig: Rig, system: str) -> None:
    done = rig.invoke("verify", "--env=fleet", f"--system={system}")
    assert done.code == 0, done.out


@pytest.mark.parametrize("system", SYSTEMS)
def test_rollback_brings_it_to_proven_paper(rig: Rig, system: str) -> None:
    done = rig.invoke("rollback", "--env=fleet", f"--system={system}", seconds=240)
    assert done.code == 0, done.out
    assert_paper_and_tripped(rig, system)
    assert open_orders(rig, "live", system) == set()
    assert_loaded(rig, system, "paper")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_order_log_is_clean(rig: Rig, system: str) -> None:
    assert rig.orders("live", "accepted", system), "it never traded live: a clean log proves nothing"
    assert_order_log_is_clean(rig, system)


def test_the_fleet_goes_down_without_a_trace(rig: Rig) -> None:
    site = rig.ground.site
    assert rig.invoke("fleet.down").code == 0
    assert not site.folder.exists() and not rig.ground.machines
    assert not (rig.inventory / "fleet").exists() and not rig.state.exists()
