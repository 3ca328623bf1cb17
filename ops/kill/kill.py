"""All brakes of all systems at once, each with its own deadline.

Then the record. Never reports what it has not seen.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.kill.hosts import HostEnd, trip_host
from ops.kill.targets import Target, folder, read_targets
from ops.kill.venues import VenueEnd, stop_venue
from ops.ledger.store import Ledger, LedgerUnavailable
from ops.model.canonical import utc_text


@dataclass(frozen=True)
class SystemEnd:
    """How one system ended."""

    system: str
    hosts: tuple[HostEnd, ...]
    venues: tuple[VenueEnd, ...]

    @property
    def residue(self) -> list[str]:
        """Everything that is not proven stopped."""
        found = [f"{self.system} {h.host}: {h.problem or 'not proven tripped'}" for h in self.hosts if not h.tripped]
        for venue in self.venues:
            what = [*venue.problems, *(f"still open: {order}" for order in venue.left)]
            what = what or ([] if venue.verified else ["UNKNOWN"])
            found += [f"{self.system} {venue.slot} account: {text}" for text in what]
        return found


@dataclass(frozen=True)
class KillEnd:
    """How the kill ended. `recorded` says where its record went."""

    kill: str
    systems: tuple[SystemEnd, ...]
    broken: tuple[str, ...]
    recorded: str
    seconds: float

    @property
    def residue(self) -> list[str]:
        """What is not proven stopped, over all systems. Nothing to stop at all is residue too."""
        found = [*self.broken, *(text for system in self.systems for text in system.residue)]
        return found or ([] if self.systems else ["there is no kill target: Interlock has never opened a system here"])

    def as_dict(self) -> dict[str, Any]:
        """For `--json` and the record."""
        return {
            "kill": self.kill, "systems": [asdict(system) for system in self.systems], "residue": self.residue,
            "recorded": self.recorded, "seconds": f"{self.seconds:.2f}",
        }  # fmt: skip


def kill(state: Path, reason: str, actor: str, systems: Sequence[str], say: Callable[[str], None]) -> KillEnd:
    """Stops, proves, records, in that order."""
    began = time.monotonic()
    mark = time.time_ns()
    targets, broken = read_targets(state, systems)
    _mark(state, targets, mark)
    identifier = f"{mark:x}"[-10:]
    ends = _all_at_once(targets, identifier, say)
    end = KillEnd(identifier, tuple(ends), tuple(broken), "", time.monotonic() - began)
    recorded = _record(state, actor, reason, end)
    return KillEnd(identifier, end.systems, end.broken, recorded, time.monotonic() - began)


def _mark(state: Path, targets: Sequence[Target], mark: int) -> None:
    """Tells a transition under way to stop. A disk that is full or read-only must not keep us from the brakes."""
    for target in targets:
        with contextlib.suppress(OSError):
            (folder(state) / f"{target.system}.mark").write_text(str(mark))


def _all_at_once(targets: Sequence[Target], kill_id: str, say: Callable[[str], None]) -> list[SystemEnd]:
    jobs = sum(len(target.hosts) + len(target.venues) for target in targets)
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        started = [
            (
                target,
                [pool.submit(_told, say, trip_host, host, target.host_program, kill_id) for host in target.hosts],
                [pool.submit(_told, say, stop_venue, venue) for venue in target.venues],
            )
            for target in targets
        ]
        return [SystemEnd(t.system, _all(hosts), _all(venues)) for t, hosts, venues in started]


def _told(say: Callable[[str], None], work: Callable[..., Any], *arguments: Any) -> Any:
    end = work(*arguments)
    say(
        f"{end.host}: {end.switch}, gate {end.gate}" if isinstance(end, HostEnd) else f"{end.slot} account: {end.state}"
    )
    return end


def _all(futures: Sequence[Future[Any]]) -> tuple[Any, ...]:
    return tuple(future.result() for future in futures)


def _record(state: Path, actor: str, reason: str, end: KillEnd) -> str:
    """In the ledger.

    If that cannot be written, in a spool that the next command takes into the ledger; else nowhere.
    """
    if not end.systems:
        return "nothing: there was no system to stop"
    rows = [{"system": s.system, "kill": end.kill, "reason": reason, "residue": s.residue} for s in end.systems]
    try:
        ledger = Ledger(state / "ledger.sqlite", actor, lambda: datetime.now(UTC))
        for row in rows:
            ledger.append("kill.done", row)
        return "ledger"
    except LedgerUnavailable:
        pass
    spool = folder(state) / "spool.jsonl"
    try:
        with spool.open("a") as stream:
            stream.writelines(
                json.dumps({**row, "at": utc_text(datetime.now(UTC)), "actor": actor}) + "\n" for row in rows
            )
            stream.flush()
            os.fsync(stream.fileno())
        return f"spool {spool}"
    except OSError:
        return "NOWHERE: neither ledger nor spool could be written; keep this output"
