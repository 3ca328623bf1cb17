"""Writes the environment of a fleet, `inventory/fleet/`, from the sandbox's: its systems on real hosts over ssh."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ops.errors import InputError
from ops.sandbox.fleet import debian
from ops.sandbox.fleet.ground import Ground
from ops.sandbox.fleet.machine import LIBRARIES, Kind
from ops.sandbox.fleet.site import Site

NAME = "fleet"
SYSTEMS = ("alpaca-bot", "ibkr-assistant")
_SHARES = ("AAPL,MSFT", "NVDA,SPY")
_HEAD = "# Written by `invoke fleet.up`, and taken away by `invoke fleet.down`. What a key means: inventory/sandbox.\n"
_PLAIN_REASON = "simulated venues, in a network of this machine's own that has no way out"
_API_PORT = {"alpaca-bot": 18411, "ibkr-assistant": 18811}
_COMPOSE_HOST = "dock-1"


def host_names(systems: Sequence[str], hosts: int) -> dict[str, Kind]:
    """Every host that these systems need, `hosts` of them with systemd. Raises InputError for a system that cannot be
    put on a fleet."""
    for system in systems:
        if system not in SYSTEMS:
            raise InputError(f"{system} cannot be put on a fleet", expected=f"one of: {', '.join(SYSTEMS)}")
    found: dict[str, Kind] = {}
    if "alpaca-bot" in systems:
        found |= {f"fleet-{number}": "systemd" for number in range(1, hosts + 1)}
    if "ibkr-assistant" in systems:
        found[_COMPOSE_HOST] = "docker"
    return found


def write(root: Path, ground: Ground, systems: Sequence[str], known_hosts: str) -> None:
    """The folder `root`/fleet, made anew. `root` is the folder of environments; it must have the sandbox's."""
    source, folder = root / "sandbox", root / NAME
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "systems").mkdir(parents=True)
    (folder / "known_hosts").write_text(known_hosts)
    shutil.copyfile(source / "people.yml", folder / "people.yml")
    _dump(folder / "hosts.yml", _hosts(ground))
    _dump(folder / "environment.yml", _environment(_read(source / "environment.yml"), ground.site, systems))
    makers = {"alpaca-bot": _alpaca_bot, "ibkr-assistant": _ibkr_assistant}
    names = [machine.name for machine in ground.machines if machine.kind == "systemd"]
    for system in systems:
        profile = _read(source / "systems" / f"{system}.yml")
        _move_venues(profile, ground.site.gateway)
        makers[system](profile, names, ground.site)
        _dump(folder / "systems" / f"{system}.yml", profile)


def _hosts(ground: Ground) -> dict[str, Any]:
    rows = {
        machine.name: {
            "ansible_host": machine.address, "ansible_user": machine.login, "ansible_become": machine.login != "root",
        }
        for machine in ground.machines
    }  # fmt: skip
    common = {
        "ansible_connection": "ssh",
        "ansible_ssh_private_key_file": str(ground.key),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    return {"all": {"hosts": rows, "vars": common}}


def _environment(found: dict[str, Any], site: Site, systems: Sequence[str]) -> dict[str, Any]:
    ports = found["sandbox"]["admin_ports"]
    return {
        **found, "environment": NAME, "provider": NAME, "network": site.mark, "default_system": systems[0],
        "sandbox": {"admin_ports": {system: ports[system] for system in systems}},
    }  # fmt: skip


def _move_venues(profile: dict[str, Any], address: str) -> None:
    """Hosts reach the venues at the controller's address in the fleet's network."""
    for venue in profile["venues"].values():
        venue["plain_http_reason"] = _PLAIN_REASON
        for slot in ("paper", "live"):
            venue[slot]["endpoint"] = re.sub(r"//127\.0\.0\.1:", f"//{address}:", venue[slot]["endpoint"])


def _alpaca_bot(profile: dict[str, Any], names: Sequence[str], site: Site) -> None:
    """systemd: one bot on each host, its unit beside its env file."""
    root, port = "/srv/alpaca-bot", _API_PORT["alpaca-bot"]
    profile["hosts"] = {
        name: {
            "root": root,
            "api": f"http://127.0.0.1:{port + index}",
            "order_prefix": f"a{index + 1}-",
            # In the env file, not in the unit, which must be the same on every host.
            "variables": {
                "INSTANCE": f"a{index + 1}", "SYMBOLS": _SHARES[index % 2], "BOT_PORT": str(port + index),
            },
        }
        for index, name in enumerate(names)
    }  # fmt: skip
    profile["service"] = {"manager": "systemd", "name": "alpaca_bot", "start_max_seconds": 30}
    profile["prepare"] = {
        "user": "alpaca-bot",
        "writable": ["var"],
        "commands": {"alpaca_bot": "/usr/bin/python3 -m bots.run alpaca-bot"},
        "environment": _environ(root),
    }


def _ibkr_assistant(profile: dict[str, Any], names: Sequence[str], site: Site) -> None:
    """Docker Compose: three containers on one host, all of one image."""
    root, port = "/srv/ibkr-assistant", _API_PORT["ibkr-assistant"]
    ports = {"BOT_PORT": str(port), "DASHBOARD_PORT": str(port + 1), "MCP_PORT": str(port + 2)}
    profile["hosts"] = {
        _COMPOSE_HOST: {
            "root": root,
            "api": f"http://127.0.0.1:{port}",
            "order_prefix": "i1-",
            "variables": {"INSTANCE": "i1", "SYMBOLS": _SHARES[0], "IBKR_HOST": site.gateway, **ports},
        }
    }
    services = ("assistant_api", "mcp_server", "dashboard")
    words = {"assistant_api": "", "mcp_server": " mcp_server", "dashboard": " dashboard"}
    profile["service"] = {
        "manager": "compose", "name": services[0], "also": list(services[1:]), "start_max_seconds": 60,
    }  # fmt: skip
    profile["prepare"] = {
        "user": "ibkr-assistant",
        "writable": ["var", "logs", "data"],
        "mounts": [LIBRARIES],
        "image": debian.IMAGE,
        "commands": {name: f"/usr/bin/python3 -m bots.run ibkr-assistant{words[name]}" for name in services},
        "environment": _environ(root),
    }


def _environ(root: str) -> Mapping[str, str]:
    """What the reference bots are told besides their env file."""
    return {
        "PYTHONPATH": LIBRARIES, "PYTHONDONTWRITEBYTECODE": "1", "BOT_HOME": root,
        "GATE_FILE": f"{root}/interlock/gate", "LOOP_SECONDS": "1", "SIGNAL_SECONDS": "5",
    }  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InputError(
            f"cannot be read: {type(error).__name__}", file=path, remedy="the sandbox's inventory is its source"
        ) from None
    return found


def _dump(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(_HEAD + yaml.safe_dump(dict(value), sort_keys=False, width=120))
