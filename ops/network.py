"""Enters the Linux network namespace from which an environment's hosts and venues are reached.

Standard library only: the kill path uses it too.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from ops.errors import InputError

NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000  # <linux/sched.h>


def enter(name: str | None) -> None:
    """Puts the calling thread, and what it starts from now on, into the network of that name; None: stays where it is.

    A thread that is in it already needs no right to it. Raises InputError if it is missing or may not be entered.
    """
    if name is None:
        return
    path = NAMESPACES / name
    try:
        if path.stat().st_ino != Path("/proc/thread-self/ns/net").stat().st_ino:
            _set(path)
    except FileNotFoundError:
        raise InputError(
            f"there is no network {name!r} on this machine", file=path, expected="a network namespace of that name",
            remedy="make it (`invoke fleet.up` makes the fleet's), or mend `network:` in environment.yml",
        ) from None  # fmt: skip
    except OSError as error:
        raise InputError(
            f"the network {name!r} cannot be entered: {error.strerror}", file=path, expected="the right to enter it",
            remedy=f"run it as root, or through `ip netns exec {name}`",
        ) from None  # fmt: skip


def _set(path: Path) -> None:
    """setns(2); for a network it moves the calling thread alone."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(handle)
