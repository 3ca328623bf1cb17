"""What the machine must have for a fleet, and running the programs of the system."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from ops.errors import HostError, InputError

# Program -> the Debian package that brings it.
PROGRAMS: Mapping[str, str] = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "sshd": "openssh-server",
}
# Debian's docker-compose recommends its engine, so that one package brings all three.
_COMPOSE = "docker-compose (with what it recommends)"
DOCKER: Mapping[str, str] = {"dockerd": _COMPOSE, "docker": _COMPOSE, "docker-compose": _COMPOSE}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing(docker: bool) -> list[str]:
    """What keeps a fleet from starting here, in words; empty if nothing does."""
    wanted = {**PROGRAMS, **(DOCKER if docker else {})}
    packages = sorted({package for program, package in wanted.items() if shutil.which(program, path=PATH) is None})
    texts = [] if os.geteuid() == 0 else ["root"]
    return texts + [f"the package {package}" for package in packages]


def refuse_unfit(docker: bool) -> None:
    """Raises InputError naming everything that is missing at once."""
    found = missing(docker)
    if found:
        raise InputError(
            "a fleet of real hosts cannot be started here", expected=f"{', '.join(found)}",
            remedy="run as root on Debian 12 with these packages, or use --env=sandbox, which needs none",
        )  # fmt: skip


def run(words: Sequence[str], text: str | None = None) -> str:
    """One program of the system with a plain environment; what it said. Raises HostError with its last words."""
    done = subprocess.run(
        list(words), input=text, stdin=subprocess.DEVNULL if text is None else None, capture_output=True, text=True,
        check=False, env={"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root"},
    )  # fmt: skip
    if done.returncode != 0:
        raise HostError(f"{' '.join(words[:4])} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout
