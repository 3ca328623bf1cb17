"""Drift: what the hosts show now against what they showed when the last transition was committed. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta

from ops.checks.fleet import UNKNOWN, facts, short
from ops.checks.registry import ask
from ops.checks.sight import Sight, take_sight
from ops.doors import Doors
from ops.errors import HostError
from ops.hosts.fleet import Replies
from ops.hosts.reply import Reply, switch_state
from ops.model.history import History
from ops.model.mode import Switch
from ops.model.outcome import Outcome
from ops.transitions.preflight import current_history


@dataclass(frozen=True)
class Drift:
    """One thing that is not as it was committed; `host` is empty for what concerns the whole system."""

    host: str
    what: str
    expected: str
    seen: str

    def __str__(self) -> str:
        at = f"{self.host}: " if self.host else ""
        return f"{at}{self.what} is {short(self.seen)}, committed was {short(self.expected)}"

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class Compared:
    """The whole answer: the committed stage, how many hosts were compared, and every difference."""

    stage: str
    hosts: int
    drifts: tuple[Drift, ...]


def drift(doors: Doors) -> Compared:
    """Compares every host. What cannot be seen, or was never committed, counts as drift: it is unknown."""
    history, asked = current_history(doors), doors.clock()
    sight = take_sight(doors, history, _looked(doors), timedelta(hours=1), asked)
    found = _unsettled(history)
    for host in sorted({*history.fleet, *sight.replies}):
        found += _of_host(sight, history, host)
    identity = ask("host_identity", sight, {})
    found += [] if identity.outcome is Outcome.PASS else [Drift("", "identity", "each host itself", identity.seen)]
    return Compared(history.stage, len(sight.replies), tuple(found))


def _looked(doors: Doors) -> Replies:
    """Without Ansible, or with an unusable hosts.yml, every host is dark."""
    try:
        return doors.fleet.look()
    except HostError as error:
        return {host: Reply.dark(host, str(error)) for host in doors.profile.hosts}


def _unsettled(history: History) -> list[Drift]:
    """What makes the last commit no measure: something begun since, or left unproven, or no commit at all."""
    found = [Drift("", "transition", "an end", f"{t.verb} {t.id} interrupted") for t in history.interrupted]
    found += [Drift("", "residue", "none", text) for text in history.residue]
    if not history.fleet:
        found.append(Drift("", "commit", UNKNOWN, f"{UNKNOWN}: no transition has recorded yet what its hosts showed"))
    return found


def _of_host(sight: Sight, history: History, host: str) -> list[Drift]:
    """One host against what it showed then."""
    before, reply = history.fleet.get(host), sight.replies.get(host)
    if reply is None:
        return [Drift(host, "host", "a host of the profile", "not in the profile")]
    if not reply.look:
        return [Drift(host, "host", "an answer", f"{UNKNOWN}: {reply.error}")]
    found = _differences(host, before or {}, facts(reply.look, sight.profile))
    if before is None and history.fleet:
        found.append(Drift(host, "host", "not there", "a host of the profile"))
    expected, state = Switch.ARMED if history.armed else Switch.TRIPPED, switch_state(reply.look, sight.profile)
    if history.fleet and state is not expected:
        found.append(Drift(host, "switch", str(expected), str(state)))
    if reply.look.get("deadline"):
        found.append(Drift(host, "deadline", "none", f"running until {reply.look['deadline'].get('at')}"))
    return found


def _differences(host: str, before: Mapping[str, str], now: Mapping[str, str]) -> list[Drift]:
    """What is another value now, or cannot be seen now."""
    unlike = [n for n in {**before, **now} if (n in before and before[n] != now.get(n)) or now.get(n) == UNKNOWN]
    return [Drift(host, name, before.get(name, UNKNOWN), now.get(name, UNKNOWN)) for name in unlike]
