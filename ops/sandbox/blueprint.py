"""What one system's sandbox is built from: the profile and where things lie; and the world that follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from ops.errors import InputError
from ops.model.profile import Channel, Profile, VenueSetting
from ops.sandbox.listings import LISTINGS

HERE = Path(__file__).parent
SEED = 7
LOOPBACK = "127.0.0.1"


class SecretStore(Protocol):
    """Where the sandbox puts the secrets that it makes up."""

    folder: Path

    def path(self, name: str, state: str = "current") -> Path:
        """The file of a set of credentials."""

    def has(self, name: str, state: str = "current") -> bool:
        """Whether there is such a set of credentials."""

    def put(self, name: str, parts: Mapping[str, str], state: str = "current") -> None:
        """Writes a set of credentials."""

    def token(self, name: str) -> str:
        """Reads a token."""

    @staticmethod
    def store(path: Path, text: str) -> None:
        """Writes a private file."""


@dataclass(frozen=True)
class SandboxHost:
    """One managed host: a folder, a socket for its supervisord, and a port for the bot's API if the bot has one."""

    name: str
    root: Path
    socket: Path
    port: int | None


@dataclass(frozen=True)
class Blueprint:
    """One system's sandbox. `env_texts` gives each host's paper env file once the keys exist. `state` and `run` are the
    environment's, shared by its systems. `address` is where the venues listen; `scraped_at` (host -> address) where a
    host's metrics are fetched if not at its API; `around` turns the command line that starts the world into one that
    starts it somewhere."""

    profile: Profile
    state: Path
    run: Path
    admin_port: int
    hosts: tuple[SandboxHost, ...]
    documents: tuple[Path, ...]
    secrets: SecretStore
    host_program: Path
    env_texts: Callable[[], Mapping[str, str]]
    address: str = LOOPBACK
    scraped_at: Mapping[str, str] = field(default_factory=dict)
    around: Callable[[Sequence[str]], Sequence[str]] = list

    @property
    def world(self) -> Path:
        """The folder of this system's simulated world, its order log among others."""
        return self.state / "worlds" / self.profile.system

    @property
    def ports(self) -> dict[str, int]:
        """Every port that the world listens on, by what listens there."""
        monitoring = self.profile.monitoring
        venues = {
            f"{name} {slot}": port_of(venue.slot(slot).endpoint, self.address)
            for name, venue in self.profile.venues.items()
            for slot in ("paper", "live")
        }
        channels: dict[str, int] = {channel.kind: port_of(channel.url) for channel in monitoring.channels}
        watching = {"prometheus": port_of(monitoring.prometheus.url), "grafana": port_of(monitoring.grafana.url)}
        return {"admin": self.admin_port, **venues, **watching, **channels}


def port_of(address: str, on: str = LOOPBACK) -> int:
    """The port that an address of the profile names. Raises InputError if it is not on loopback, or `on` another."""
    parts = urlsplit(address)
    if parts.hostname != on or parts.port is None:
        raise InputError(f"the sandbox listens on {on} only", expected=f"http://{on}:PORT", seen=address)
    return parts.port


def world_config(blueprint: Blueprint, token: Callable[[str], str]) -> dict[str, Any]:
    """The configuration of the world's process. `token` gives the value of a named token, made up if need be."""
    monitoring = blueprint.profile.monitoring
    served = {host.name: f"{LOOPBACK}:{host.port}" for host in blueprint.hosts if host.port is not None}
    return {
        "state": str(blueprint.world),
        "seed": SEED,
        "venues_address": blueprint.address,
        "admin": {"port": blueprint.admin_port, "token": token("sandbox-admin")},
        "venues": {name: _venue(venue, blueprint.address) for name, venue in blueprint.profile.venues.items()},
        "prometheus": {
            "port": port_of(monitoring.prometheus.url),
            "jobs": {monitoring.prometheus.job: list(served.values())},
            "addresses": {served[name]: where for name, where in blueprint.scraped_at.items()},
            "scrape_seconds": 1,
        },
        "grafana": {
            "port": port_of(monitoring.grafana.url),
            "token": token(monitoring.grafana.token),
            "dashboards": [str(blueprint.world / "dashboard.json")],
        },
        **{channel.kind: _channel(channel, token) for channel in monitoring.channels},
    }


def _venue(venue: VenueSetting, address: str) -> dict[str, Any]:
    listing = LISTINGS[venue.kind]
    cash = {"paper": listing.paper_cash, "live": listing.live_cash}
    accounts = {
        slot: {
            "port": port_of(venue.slot(slot).endpoint, address),
            "number": venue.slot(slot).account,
            "cash": cash[slot],
        }
        for slot in ("paper", "live")
    }
    return {"kind": venue.kind, "symbols": listing.symbols, **accounts}


def _channel(channel: Channel, token: Callable[[str], str]) -> dict[str, Any]:
    to = "channel" if channel.kind == "slack" else "chat_id"
    return {"port": port_of(channel.url), "token": token(channel.token), to: channel.to}


def dashboard(blueprint: Blueprint) -> str:
    """The dashboard of the reference bots under the name that the profile gives it."""
    board = json.loads((HERE / "grafana" / "alpaca-bot.json").read_text())
    return json.dumps(
        {**board, "uid": blueprint.profile.monitoring.grafana.dashboard, "title": blueprint.profile.system}
    )
