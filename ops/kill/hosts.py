"""The brakes on the hosts: the host program itself, run or sent with the kill request on its standard input."""

from __future__ import annotations

import json
import os
import queue
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from ops.hosts.dark import dark_words
from ops.kill.targets import HostTarget

HOST_MAX_SECONDS = 20.0
"""The slowest way down: a bot that does not heed its gate (6 s) and a manager that must end its processes."""
SECOND_AFTER_SECONDS = 4.0
"""So long the shared connection may say nothing: it may hang, while a new one would get through."""
COLD = ("-o", "ControlPath=none")
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

    A bot that does not confirm is stopped. Proven by the look in the same answer. Over ssh, a connection that is open
    already serves; if it gives no answer, a new one is tried beside it, and the first answer counts.
    """
    request = json.dumps({**target.request, "op": "kill", "by": f"kill-{kill}"}).encode()
    try:
        if not target.argv:
            attempts = [_Attempt([sys.executable, "-I", program, "--stdin"], request)]
        else:
            code = Path(program).read_bytes()
            sent = b"%d\n%b%b" % (len(code), code, request)
            ssh, *rest = target.argv
            attempts = [_Attempt([ssh, *rest], sent)] if _ours_alone(target.sockets) else []
            attempts.append(_Attempt([ssh, *COLD, *rest], sent))
    except OSError as error:
        return unknown(target.name, f"the host program failed ({type(error).__name__})")
    return _first_answer(target, attempts)


def _ours_alone(folder: str) -> bool:
    try:
        info = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and not info.st_mode & 0o077


class _Attempt:
    """One way to the host. It holds up nobody: it is read in a thread of its own, and can be ended at any time."""

    def __init__(self, command: Sequence[str], sent: bytes) -> None:
        self._command, self._sent = command, sent
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ends: queue.SimpleQueue[HostEnd], target: HostTarget) -> None:
        """Its end, whatever it is, comes into the queue."""
        Thread(target=lambda: ends.put(self._end(target)), daemon=True).start()

    def stop(self) -> None:
        """What has answered needs no stopping; the host's program goes on where it runs."""
        if self._process is not None:
            with suppress(OSError):
                self._process.kill()

    def _end(self, target: HostTarget) -> HostEnd:
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
            with self._process as process:
                out, err = process.communicate(self._sent)
            return _read(target, process.returncode, out, err.decode(errors="replace"))
        except OSError as error:
            return unknown(target.name, f"the host program failed ({type(error).__name__})")


def _first_answer(target: HostTarget, attempts: Sequence[_Attempt]) -> HostEnd:
    """The first that tells of the host; the next begins when the one before has failed or said nothing for a while."""
    ends: queue.SimpleQueue[HostEnd] = queue.SimpleQueue()
    until, failed, waiting = time.monotonic() + HOST_MAX_SECONDS, "", list(attempts)
    running = 0
    try:
        while time.monotonic() < until and (waiting or running):
            if waiting:
                waiting.pop(0).start(ends, target)
                running += 1
            patience = min(SECOND_AFTER_SECONDS if waiting else HOST_MAX_SECONDS, until - time.monotonic())
            with suppress(queue.Empty):
                end = ends.get(timeout=max(0.0, patience))
                running -= 1
                if end.gate != "UNKNOWN":
                    return end
                failed = end.problem
    finally:
        for attempt in attempts:
            attempt.stop()
    silent = f"no answer within {HOST_MAX_SECONDS:.0f} s"
    return unknown(target.name, f"{silent}; {failed}" if running and failed else failed or silent)


def _read(target: HostTarget, code: int, out: bytes, err: str) -> HostEnd:
    try:
        return _judged(target, json.loads(out))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"the host program failed ({type(error).__name__})"
        return unknown(target.name, f"dark: {dark_words(err)}" if target.argv and code else why)


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
