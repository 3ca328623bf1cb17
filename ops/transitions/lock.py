"""One transition per system on this machine.

The kernel frees the lock when its holder dies; the hosts' fence does the rest.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.doors import Doors
from ops.errors import InputError, LockHeld
from ops.model.canonical import utc_text


@contextmanager
def locked(doors: Doors, verb: str) -> Iterator[None]:
    """Holds the system's lock. Raises LockHeld, saying who holds it, since when and what for."""
    path = doors.place.state / "locks" / f"{doors.profile.system}.json"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InputError(f"the lock cannot be made: {error.strerror}", file=path) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeld(
                f"{doors.profile.system} is locked: {_holder(path)}",
                remedy="wait for it to end; invoke kill and invoke status work meanwhile",
            ) from None
        os.truncate(handle, 0)
        facts = {"verb": verb, "who": doors.requester, "pid": os.getpid(), "since": utc_text(doors.clock())}
        os.pwrite(handle, json.dumps(facts).encode(), 0)
        yield
    finally:
        os.close(handle)


def _holder(path: Path) -> str:
    try:
        facts = json.loads(path.read_text())
        return f"{facts['verb']} by {facts['who']} (process {facts['pid']}) since {facts['since'][:19]}Z"
    except (OSError, ValueError, KeyError):
        return "by a process that did not say who it is"
