"""All hosts of one system: builds each host's request from the profile and sends it, one round trip per phase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ops.errors import HostError
from ops.hosts.ansible import run_playbook
from ops.hosts.reply import Reply
from ops.inventory import Place
from ops.model.canonical import utc_text
from ops.model.envfile import render
from ops.model.profile import Profile, Slot
from ops.secrets import Credentials

Replies = Mapping[str, Reply]
# Host -> what only its request holds.
Each = Mapping[str, Mapping[str, Any]]
# Host -> venue -> what the bot on that host must hold.
BotCredentials = Mapping[str, Mapping[str, Credentials]]
# On the way down a host that turns dark is asked this many times more; each time it is a new connection's turn.
LOWER_AGAIN = 2


@dataclass(frozen=True)
class Fence:
    """Which transition may change the hosts; they refuse any older epoch."""

    transition: str
    epoch: int


class Fleet:
    """The hosts of one system. Every method answers for every one of them.

    Raising and lowering risk have opposite policies (Ansible's own abort keywords do not stop at a dark host). What
    raises goes to the first host alone, then to all others at once, and stops at a host that is dark or refuses. What
    lowers goes to all at once, stops at nothing, and tries the dark ones again: so each of those requests may be
    carried out twice, which the host program allows within one fence.
    """

    def __init__(self, place: Place, profile: Profile, salt: str) -> None:
        self.place, self.profile, self._salt = place, profile, salt
        self._dark: set[str] = set()

    def look(
        self, since: datetime | None = None, mode: str = "paper", playbook: str = "look.yml", insist: bool = False
    ) -> Replies:
        """What every host shows; with `since`, also the bot's own records from then on, of one mode's database.

        `insist`: for the way down, where the dark ones are asked again.
        """
        more = {} if since is None else {"evidence": self._evidence(since, mode)}
        return (self._lower if insist else self._send)(playbook, "look", more)

    def trip(self, fence: Fence, by: str) -> Replies:
        """Lowers: raises the fence, sets the gate, trips the bot."""
        return self._lower("trip.yml", "trip", {"fence": _plain(fence), "by": by})

    def arm(self, fence: Fence, seconds: int) -> Replies:
        """Raises: each host goes back to its present env file by itself after that time unless disarmed."""
        return self._raise("deadline.yml", "arm", {"fence": _plain(fence), "deadline_seconds": seconds})

    def disarm(self, fence: Fence) -> Replies:
        """Raises: no going back by themselves any more, since the commit has reached the hosts."""
        return self._raise("deadline.yml", "disarm", {"fence": _plain(fence)})

    def disarm_on_paper(self, fence: Fence, hosts: Sequence[str]) -> Replies:
        """Lowers: the same for these hosts, which are back already; any other needs its deadline still."""
        return self._lower("deadline.yml", "disarm", {"fence": _plain(fence)}, hosts=hosts) if hosts else {}

    def flip(
        self,
        fence: Fence,
        texts: Mapping[str, str],
        compare: Mapping[str, str] | None,
        playbook: str = "flip_mode.yml",
    ) -> Replies:
        """One rename per host, then a new process. `compare`: raises, and a host whose env file is not that digest
        refuses; None: lowers, whatever stands there."""
        each = {
            host: {"env_text": text, "compare_sha256": None if compare is None else compare[host]}
            for host, text in texts.items()
        }
        send = self._lower if compare is None else self._raise
        return send(playbook, "flip", {"fence": _plain(fence)}, each)

    def restart(self, fence: Fence) -> Replies:
        """Raises: a new process on every host, with the env file read anew."""
        return self._raise("restart_services.yml", "restart", {"fence": _plain(fence)})

    def rearm(self, fence: Fence, by: str, reasons: Mapping[str, str]) -> Replies:
        """Raises: lifts the halt on each host, only if its gate is still `by` and its bot's reason the expected one."""
        each = {host: {"expected_reason": reason} for host, reason in reasons.items()}
        return self._raise("rearm.yml", "rearm", {"fence": _plain(fence), "by": by}, each)

    def drill(self, drill: Mapping[str, Any]) -> Replies:
        """Drives one control to its limit on paper and waits for what must follow."""
        return self._send("drill.yml", "drill", {"drill": dict(drill)})

    def env_texts(self, slot: Slot, size_pct: int, credentials: BotCredentials) -> dict[str, str]:
        """The whole env file of every host for a slot: mode, credentials, addresses, accounts, size, limits, its own.

        Raises ValueError, naming the variable only, for a value that readers of env files would disagree on.
        """
        common = self.plain_values(slot, size_pct)
        return {
            name: render({**common, **self._secrets(credentials.get(name, {})), **host.variables})
            for name, host in self.profile.hosts.items()
        }

    def plain_values(self, slot: Slot, size_pct: int) -> dict[str, str]:
        """The variables that are no secrets and the same on every host."""
        profile = self.profile
        found = {name: getattr(two, slot) for name, two in profile.mode.variables.items()}
        found |= self._places(slot)
        found |= {profile.size.variable: f"{size_pct / 100:.2f}"}
        return found | {limit.variable: format(limit.value, "f") for limit in profile.limits.wired().values()}

    def _places(self, slot: Slot) -> dict[str, str]:
        """Where the bot finds each venue, and which account it is told to use there."""
        found: dict[str, str] = {}
        for venue in self.profile.venues.values():
            account, names = venue.slot(slot), venue.variables
            found |= {names.endpoint: account.endpoint} if names.endpoint else {}
            found |= {names.account: account.account} if names.account else {}
        return found

    def _secrets(self, credentials: Mapping[str, Credentials]) -> dict[str, str]:
        venues = self.profile.venues
        return {
            variable: credentials[name].part(part)
            for name in credentials
            for variable, part in venues[name].variables.secrets.items()
        }

    def request(self, host: str, op: str) -> dict[str, Any]:
        """The part of a request that the profile decides; also what the kill targets and the deadline are made of."""
        profile, own = self.profile, self.profile.hosts[host]
        return {
            "op": op,
            "host": host,
            "system": profile.system,
            "root": str(self.place.path(own.root, host)),
            "env_file": profile.env_file,
            "gate_file": profile.gate_file,
            "release": profile.release,
            "salt": self._salt,
            "watch": {
                "shown": list(profile.shown_variables()),
                "secret": list(profile.secret_variables()),
                "kept": list(profile.own_secrets),
                "own": list(own.variables),
            },
            "service": self._service(host),
            "api": self._api(own.api),
        }

    def _service(self, host: str) -> dict[str, Any]:
        """The manager and its services, with what this host needs to reach them; paths are filled in."""
        service = self.profile.service
        said = service.model_dump(exclude_none=True)
        if service.socket is not None:
            said["socket"] = self.place.text(service.socket, host)
        if service.manager == "compose":
            said |= {"file": service.file or "compose.yml", "project": service.project or self.profile.system}
        return said

    def _api(self, url: str | None) -> dict[str, Any]:
        """How the bot is read and told: its readouts, its switch and its verbs."""
        mode, switch, health = self.profile.mode, self.profile.switch, self.profile.health
        places = {"mode": mode.readout, "switch": switch.readout, "health": health.readout}
        return {
            "url": url,
            "readouts": {name: place.model_dump(exclude={"field"}) for name, place in places.items()},
            "health": {"field": health.readout.field, "age_max": health.loop_age_max_seconds},
            "switch": {
                "field": switch.readout.field,
                "reason": switch.reason_field,
                "words": {word: str(state) for word, state in switch.words.items()},
            },
            # What the process must say of its mode before a bot that starts with the gate's end is left running.
            "mode": {
                "field": mode.readout.field,
                "words": {word: str(state) for word, state in mode.words.items()},
                "variables": {name: two.model_dump() for name, two in mode.variables.items()},
            },
            "trip": switch.trip,
            "rearm": switch.rearm,
        }

    def _evidence(self, since: datetime, mode: str) -> dict[str, Any]:
        records = self.profile.records
        return {
            "since": utc_text(since - timedelta(0)),
            "database": records.database.replace("{mode}", mode),
            "log": {"path": records.log.path, "exceptions": list(records.log.exceptions)},
            "queries": {name: getattr(records, name) for name in ("loops", "decisions", "orders", "fills")},
        }

    def _raise(self, playbook: str, op: str, more: Mapping[str, Any], each: Each | None = None) -> Replies:
        """The first host alone, then all others at once; none of them if the first one is dark or refuses."""
        first, *others = self.profile.hosts
        found = dict(self._send(playbook, op, more, each, (first,)))
        if others and not found[first].ok:
            return found | {host: _not_tried(host, first) for host in others}
        return found | dict(self._send(playbook, op, more, each, others)) if others else found

    def _lower(
        self,
        playbook: str,
        op: str,
        more: Mapping[str, Any],
        each: Each | None = None,
        hosts: Iterable[str] | None = None,
    ) -> Replies:
        """All at once, and the dark ones again; what they answered last stands. One that was dark to the end of the
        phase before is asked only once: the others' orders and modes wait as long."""
        found = dict(self._send(playbook, op, more, each, hosts))
        for _ in range(LOWER_AGAIN):
            dark = [host for host, reply in found.items() if not reply.reached and host not in self._dark]
            if dark:
                with suppress(HostError):  # of the dark ones alone; the answers of the others stand
                    found |= self._send(playbook, op, more, each, dark)
        self._dark = {host for host, reply in found.items() if not reply.reached}
        return found

    def _send(
        self,
        playbook: str,
        op: str,
        more: Mapping[str, Any],
        each: Each | None = None,
        hosts: Iterable[str] | None = None,
    ) -> Replies:
        """One round trip to each of these hosts, all of them if none is named, at once; an answer for each."""
        requests = {
            host: {**self.request(host, op), **more, **((each or {}).get(host, {}))}
            for host in (self.profile.hosts if hosts is None else hosts)
        }
        return run_playbook(playbook, self.place.inventory / "hosts.yml", requests)


def _plain(fence: Fence) -> dict[str, Any]:
    return {"transition": fence.transition, "epoch": fence.epoch}


def _not_tried(host: str, failed: str) -> Reply:
    """The answer for a host that was left alone."""
    return Reply(host, False, False, "not-tried", f"not tried: {failed} failed before")
