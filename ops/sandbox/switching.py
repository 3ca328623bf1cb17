"""Faults of the sandbox by name: of the simulated world through its admin API, of a bot through its own file."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from ops.errors import InputError
from ops.sandbox.manager import Sandbox

BOT_FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "mode_lie": ("the bot's API says live, whatever mode it runs in", {"mode_lie": "live"}),
    "loop_raises": ("every loop of the bot raises an exception", {"raise": True}),
    "loop_hangs": ("the bot's loop makes no progress", {"hang": True}),
    "ignores_switch": ("the bot says that it is halted and goes on trading", {"ignore_switch": True}),
}
HOST_FAULTS = {"read_only": "the host's folder cannot be written to"}


def catalogue(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Every fault with its text and where it is on."""
    rows = list(sandbox.admin("GET", "faults")["faults"])
    for name, (text, document) in BOT_FAULTS.items():
        on = [host.name for host in sandbox.hosts if set(document) <= set(_read(host.root))]
        rows.append({"fault": name, "text": text, "scope": "host", "on": on})
    for name, text in HOST_FAULTS.items():
        on = [host.name for host in sandbox.hosts if not host.root.stat().st_mode & stat.S_IWUSR]
        rows.append({"fault": name, "text": text, "scope": "host", "on": on})
    return rows


def switch_fault(sandbox: Sandbox, name: str, where: str, on: bool) -> str:
    """Switches one fault; returns what was done in words. Raises InputError for an unknown fault or place."""
    if name not in BOT_FAULTS and name not in HOST_FAULTS:
        sandbox.admin("POST", "faults", {"environment": where, "fault": name, "on": on})
        return f"Fault {name} is {'on' if on else 'off'}{' for ' + where if where else ''}"
    roots = {host.name: host.root for host in sandbox.hosts}
    if where not in roots:
        raise InputError(
            f"{name} is a fault of a host", expected=f"--where={' or '.join(roots)}", seen=where or "nothing"
        )
    if name in HOST_FAULTS:
        roots[where].chmod(0o500 if on else 0o700)
    else:
        _write(roots[where], BOT_FAULTS[name][1], on)
    return f"Fault {name} is {'on' if on else 'off'} on {where}"


def _path(root: Path) -> Path:
    return root / "var" / "faults.json"


def _read(root: Path) -> dict[str, Any]:
    try:
        document = json.loads(_path(root).read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _write(root: Path, fault: dict[str, Any], on: bool) -> None:
    kept = {key: value for key, value in _read(root).items() if key not in fault}
    document = {**kept, **fault} if on else kept
    if document:
        _path(root).write_text(json.dumps(document))
    else:
        _path(root).unlink(missing_ok=True)
