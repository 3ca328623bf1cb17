"""All brakes of all systems and all venue accounts at once, each with its own deadline.

Then the record. Never reports what it has not seen.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ops.errors import InputError
from ops.kill.errand import Errand, Voice
from ops.kill.hosts import HOST_MAX_SECONDS, HostEnd, trip_host, unknown
from ops.kill.record import record
from ops.kill.targets import Aim, HostTarget, Target, folder, read_targets
from ops.kill.venues import VENUE_MAX_SECONDS, Quiet, Say, Stopping, VenueEnd
from ops.network import enter

HOST_END_SECONDS = HOST_MAX_SECONDS + 2.0
VENUE_END_SECONDS = VENUE_MAX_SECONDS + 10.0
"""When an errand that should have ended by itself is no longer waited for."""


@dataclass(frozen=True)
class SystemEnd:
    """How one system ended. `left_alone`: its accounts at venues that this kill was not meant for."""

    system: str
    hosts: tuple[HostEnd, ...]
    venues: tuple[VenueEnd, ...]
    left_alone: tuple[str, ...] = ()

    @property
    def residue(self) -> list[str]:
        """Everything that is not proven stopped."""
        found = [f"{self.system} {h.host}: {h.problem or 'not proven tripped'}" for h in self.hosts if not h.tripped]
        for venue in self.venues:
            what = [*venue.problems, *(f"still open: {order}" for order in venue.left)]
            what = what or ([] if venue.verified else ["UNKNOWN"])
            found += [f"{self.system} {venue.account} account: {text}" for text in what]
        return found


@dataclass(frozen=True)
class KillEnd:
    """How a kill in one environment ended. `recorded`: where its record went; `hanging`: given up, still under way."""

    state: Path
    kill: str
    systems: tuple[SystemEnd, ...]
    broken: tuple[str, ...]
    recorded: str
    seconds: float
    hanging: bool = False

    @property
    def environment(self) -> str:
        """Its name."""
        return self.state.name

    @property
    def residue(self) -> list[str]:
        """What is not proven stopped, over all systems. Nothing to stop at all is residue too."""
        found = [*self.broken, *(text for system in self.systems for text in system.residue)]
        return found or ([] if self.systems else ["there is no kill target: Interlock has never opened a system here"])

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        systems = [asdict(system) for system in self.systems]
        for shown, system in zip(systems, self.systems, strict=True):
            for row, venue in zip(shown["venues"], system.venues, strict=True):
                row["state"] = venue.state
        return {
            "kill": self.kill, "systems": systems, "residue": self.residue, "recorded": self.recorded,
            "seconds": f"{self.seconds:.2f}",
        }  # fmt: skip


class Killing:
    """A kill of one environment: all of it is under way as soon as this is made."""

    def __init__(self, state: Path, aim: Aim, say: Say) -> None:
        self._began, mark = time.monotonic(), time.time_ns()
        self._state, self._id, self._voice = state, f"{mark:x}"[-10:], Voice(say)
        known, broken = read_targets(state, aim.systems)
        targets, strange = aim.of(known)
        self._broken = (*broken, *strange)
        _mark(state, targets, mark)
        self._fleet = [_Stopped(target, aim, self._id, self._voice) for target in targets]

    def end(self, reason: str, actor: str) -> KillEnd:
        """Waits for each errand at most until its own deadline; then the record."""
        try:
            ends = tuple(system.end(self._began) for system in self._fleet)
        except KeyboardInterrupt:  # what has ended by now counts, the rest is given up and told
            ends = tuple(system.end(-math.inf) for system in self._fleet)
        self._voice.close()
        rows = [{"system": s.system, "kill": self._id, "reason": reason, "residue": s.residue} for s in ends]
        written = record(self._state, actor, rows, lambda: datetime.now(UTC))
        hanging, seconds = any(system.hangs for system in self._fleet), time.monotonic() - self._began
        return KillEnd(self._state, self._id, ends, self._broken, written, seconds, hanging)


def _mark(state: Path, targets: Sequence[Target], mark: int) -> None:
    """Tells a transition under way to stop. A disk that is full or read-only must not keep us from the brakes."""
    for target in targets:
        with contextlib.suppress(OSError):
            (folder(state) / f"{target.system}.mark").write_text(str(mark))


class _Stopped:
    """One system: an errand per host and per account, all under way as soon as it is made."""

    def __init__(self, target: Target, aim: Aim, kill_id: str, say: Say) -> None:
        self._target, self._say, self._quiet = target, say, Quiet(len(target.hosts))
        self._stopping = [Stopping(venue, say, self._quiet) for venue in target.venues if aim.means(venue)]
        self._venues = [Errand(partial(self._stop, stopping)) for stopping in self._stopping]
        self._hosts = [Errand(partial(self._trip, host, kill_id)) for host in target.hosts]
        self._left_alone = tuple(venue.name for venue in target.venues if not aim.means(venue))

    @property
    def hangs(self) -> bool:
        """Whether something that was given up is still under way."""
        return any(errand.hangs for errand in self._hosts) or any(errand.hangs for errand in self._venues)

    def end(self, began: float) -> SystemEnd:
        """Waits for each at most until its own deadline."""
        names = [host.name for host in self._target.hosts]
        hosts = [e.end(began + HOST_END_SECONDS, partial(unknown, n)) for n, e in zip(names, self._hosts, strict=True)]
        pairs = zip(self._stopping, self._venues, strict=True)
        venues = [errand.end(began + VENUE_END_SECONDS, stopping.given_up) for stopping, errand in pairs]
        return SystemEnd(self._target.system, tuple(hosts), tuple(venues), self._left_alone)

    def _stop(self, stopping: Stopping) -> VenueEnd:
        try:
            enter(self._target.network)
        except InputError as error:
            return stopping.given_up(error.text())
        end = stopping.run()
        after = f" after {end.seconds} s" if end.seconds else ""
        self._say(f"{self._target.system} {end.account} account: {end.state}{after}")
        return end

    def _trip(self, host: HostTarget, kill_id: str) -> HostEnd:
        try:
            enter(self._target.network)  # each errand has a thread of its own, and with it a network of its own
            end = trip_host(host, self._target.host_program, kill_id)
        except InputError as error:
            end = unknown(host.name, error.text())
        self._quiet.one_less()
        self._say(f"{self._target.system} {end.host}: {end.switch}, gate {end.gate}")
        return end
