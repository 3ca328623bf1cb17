"""The sandbox's five profiles together: nothing of one is in another's way, and each gives a whole world."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from ops.inventory import load_environment, load_profile, place, systems
from ops.model.profile import Profile
from ops.sandbox.blueprint import Blueprint, SandboxHost, port_of, world_config
from ops.sandbox.listings import LISTINGS
from ops.sandbox.venues.simulators import SIMULATORS
from ops.sandbox.world.config import WorldConfig
from ops.secrets import Secrets
from tests.house.tree import ROOT

BLOCKS = {"alpaca-bot": 184, "kraken-bot": 185, "kalshi-polymarket": 186, "smart-alpaca": 187, "ibkr-assistant": 188}


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inventory that ships."""
    monkeypatch.setenv("INTERLOCK_INVENTORY", str(ROOT / "inventory"))


def profile_of(system: str) -> Profile:
    return load_profile(place("sandbox"), system)


def blueprint(profile: Profile, folder: Path) -> Blueprint:
    hosts = tuple(
        SandboxHost(name, folder / name, folder / f"{name}.sock", None if host.api is None else port_of(host.api))
        for name, host in profile.hosts.items()
    )
    sandbox = load_environment(place("sandbox")).sandbox
    assert sandbox is not None
    return Blueprint(
        profile, folder, folder, sandbox.admin_ports[profile.system], hosts, (), Secrets(folder), folder, dict
    )


def own_ports(profile: Profile, folder: Path) -> list[int]:
    """Of the world, of the bots' APIs, and of the services beside them."""
    plan = blueprint(profile, folder)
    beside = [int(v) for host in profile.hosts.values() for k, v in host.variables.items() if k.endswith("_PORT") and v]
    return [*plan.ports.values(), *(host.port for host in plan.hosts if host.port is not None), *beside]


def test_there_are_five_and_no_port_is_taken_twice(tmp_path: Path) -> None:
    assert set(systems(place("sandbox"))) == set(BLOCKS)
    ports = {system: own_ports(profile_of(system), tmp_path) for system in BLOCKS}
    assert {system: {port // 100 for port in found} for system, found in ports.items()} == {
        system: {block} for system, block in BLOCKS.items()
    }
    taken = Counter(port for found in ports.values() for port in found)
    assert [port for port, count in taken.items() if count > 1] == []


def test_every_host_has_one_system_and_stands_in_the_inventory_of_ansible() -> None:
    hosts = [host for system in BLOCKS for host in profile_of(system).hosts]
    listed = yaml.safe_load((ROOT / "inventory" / "sandbox" / "hosts.yml").read_text())["all"]["hosts"]
    assert sorted(hosts) == sorted(listed)
    prefixes = [host.order_prefix for system in BLOCKS for host in profile_of(system).hosts.values()]
    assert len(set(prefixes)) == len(prefixes) == 10


@pytest.mark.parametrize("system", BLOCKS)
def test_a_profile_gives_a_whole_world(system: str, tmp_path: Path) -> None:
    profile = profile_of(system)
    config = WorldConfig.model_validate(world_config(blueprint(profile, tmp_path), lambda name: f"token of {name}"))
    assert {name: venue.kind for name, venue in config.venues.items()} == {
        name: venue.kind for name, venue in profile.venues.items()
    }
    assert config.slack is not None and config.telegram is not None
    scraped = [address for job in config.prometheus.jobs.values() for address in job]
    assert len(scraped) == sum(host.api is not None for host in profile.hosts.values())


@pytest.mark.parametrize("system", BLOCKS)
def test_the_bots_trade_what_is_listed(system: str) -> None:
    profile = profile_of(system)
    for host in profile.hosts.values():
        for symbol in host.variables["SYMBOLS"].split(","):
            venue, _, bare = (
                symbol.rpartition(":") if len(profile.venues) > 1 else (next(iter(profile.venues)), "", symbol)
            )
            assert bare in LISTINGS[profile.venues[venue].kind].symbols


def test_no_credentials_are_shared_between_systems_or_purposes() -> None:
    names = []
    for system in BLOCKS:
        profile = profile_of(system)
        for venue, setting in profile.venues.items():
            for account, slot in ((setting.paper, "paper"), (setting.live, "live")):
                bots = set(profile.bot_keys(venue, slot).values())  # type: ignore[arg-type]
                names += [*bots, *(name for name in (account.observer, account.kill) if name)]
    assert len(set(names)) == len(names)


def test_every_kind_of_venue_can_be_simulated() -> None:
    assert set(SIMULATORS) == set(LISTINGS)
