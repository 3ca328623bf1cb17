"""The brakes on the hosts: the host program itself, run or sent with the kill request on its standard input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.kill.targets import HostTarget

HOST_MAX_SECONDS = 20.0
"""The slowest way down: a bot that does not heed its gate (6 s) and a manager that must end its processes."""
NOT_RUNNING = ("STOPPED", "EXITED", "FATAL", "GONE")


@dataclass(frozen=True)
class HostEnd:
    """How one host ended: `tripped` is proven, anything else is UNKNOWN or worse."""

    host: str
    gate: str
    switch: str
    tripped: bool
    problem: str = ""


def unknown(host: str, why: str) -> HostEnd:
    """A host of which nothing is known."""
    return HostEnd(host, "UNKNOWN", "UNKNOWN", False, why)


def trip_host(target: HostTarget, program: str, kill: str) -> HostEnd:
    """Gate, then the bot's own switch.

    A bot that does not confirm is stopped. Proven by the look in the same answer.
    """
    request = {**target.request, "op": "kill", "by": f"kill-{kill}"}
    try:
        done = subprocess.run(
            [sys.executable, "-I", program, "--stdin"], input=json.dumps(request), capture_output=True, text=True,
            timeout=HOST_MAX_SECONDS, check=False, start_new_session=True,
        )  # fmt: skip
        return _judged(target, json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return unknown(target.name, f"no answer within {HOST_MAX_SECONDS:.0f} s")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return unknown(target.name, f"the host program failed ({type(error).__name__})")


def _judged(target: HostTarget, answer: Mapping[str, Any]) -> HostEnd:
    """By the host's own verdict of what it sees, gate and process included."""
    look = answer.get("look") or {}
    process = (look.get("process") or {}).get("state", "UNKNOWN")
    gate = "set" if look.get("gate") else "NOT set"
    switch = str(look.get("switch") or "UNKNOWN").replace("unknown", "UNKNOWN")
    tripped = switch == "tripped"
    problem = "" if tripped else (answer.get("error") or {}).get("text") or f"switch {switch}, process {process}"
    if tripped and gate != "set":
        problem = f"tripped, but the gate is not set ({(answer.get('done') or {}).get('gate')}): a restart may undo it"
    silent = "error" in ((look.get("api") or {}).get("switch") or {})
    said = f"tripped ({process})" if tripped and silent and process in NOT_RUNNING else switch
    return HostEnd(target.name, gate, said, tripped and gate == "set", problem)
