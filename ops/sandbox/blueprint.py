"""What one system's sandbox is built from: the profile and where things lie; and the world that follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from ops.errors import InputError
from ops.model.profile import Channel, Profile, VenueSetting
from ops.sandbox.listings import LISTINGS

HERE = Path(__file__).parent
SEED = 7


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
    """One system's sandbox. `env_texts` gives each host's paper env file once the keys exist; `watches` each host's
    request document for its own deadline. `state` and `run` are the environment's, shared by its systems."""

    profile: Profile
    state: Path
    run: Path
    admin_port: int
    hosts: tuple[SandboxHost, ...]
    documents: tuple[Path, ...]
    secrets: SecretStore
    host_program: Path
    env_texts: Callable[[], Mapping[str, str]]
    watches: Callable[[], Mapping[str, Mapping[str, Any]]]

    @property
    def world(self) -> Path:
        """The folder of this system's simulated world, its order log among others."""
        return self.state / "worlds" / self.profile.system

    @property
    def ports(self) -> dict[str, int]:
        """Every port that the world listens on, by what listens there."""
        monitoring = self.profile.monitoring
        venues = {
            f"{name} {slot}": port_of(venue.slot(slot).endpoint)
            for name, venue in self.profile.venues.items()
            for slot in ("paper", "live")
        }
        channels: dict[str, int] = {channel.kind: port_of(channel.url) for channel in monitoring.channels}
        watching = {"prometheus": port_of(monitoring.prometheus.url), "grafana": port_of(monitoring.grafana.url)}
        return {"admin": self.admin_port, **venues, **watching, **channels}


def port_of(address: str) -> int:
    """The port that an address of the profile names. Raises InputError if it is not one on loopback."""
    parts = urlsplit(address)
    if parts.hostname != "127.0.0.1" or parts.port is None:
        raise InputError("the sandbox listens on loopback only", expected="http://127.0.0.1:PORT", seen=address)
    return parts.port


def world_config(blueprint: Blueprint, token: Callable[[str], str]) -> dict[str, Any]:
    """The configuration of the world's process. `token` gives the value of a named token, made up if need be."""
    monitoring = blueprint.profile.monitoring
    served = [f"127.0.0.1:{host.port}" for host in blueprint.hosts if host.port is not None]
    return {
        "state": str(blueprint.world),
        "seed": SEED,
        "admin": {"port": blueprint.admin_port, "token": token("sandbox-admin")},
        "venues": {name: _venue(venue) for name, venue in blueprint.profile.venues.items()},
        "prometheus": {
            "port": port_of(monitoring.prometheus.url),
            "jobs": {monitoring.prometheus.job: served},
            "scrape_seconds": 1,
        },
        "grafana": {
            "port": port_of(monitoring.grafana.url),
            "token": token(monitoring.grafana.token),
            "dashboards": [str(blueprint.world / "dashboard.json")],
        },
        **{channel.kind: _channel(channel, token) for channel in monitoring.channels},
    }


def _venue(venue: VenueSetting) -> dict[str, Any]:
    listing = LISTINGS[venue.kind]
    cash = {"paper": listing.paper_cash, "live": listing.live_cash}
    accounts = {
        slot: {"port": port_of(venue.slot(slot).endpoint), "number": venue.slot(slot).account, "cash": cash[slot]}
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
