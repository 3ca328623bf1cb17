"""Prepare: makes bare hosts into a system's. No transition: it touches no mode, no switch and no running bot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ops.doors import Doors
from ops.errors import InputError, Refused
from ops.hosts import prepare as hosts_of
from ops.hosts.prepare import Preparation, Requests
from ops.hosts.reply import Reply
from ops.transitions.lock import locked


def prepare(doors: Doors, hosts: Sequence[str], check: bool) -> Preparation:
    """Prepares these hosts, all if none is named; under `check` says what would change, whatever runs there.

    Raises Refused, with nothing changed, if one is dark, or would change while its bot is armed, live or unreadable.
    """
    names = _named(doors, hosts)
    texts = doors.fleet.env_texts("paper", 100, doors.bot_credentials("paper"))
    with locked(doors, "host.prepare"):
        requests = hosts_of.requests_of(doors.fleet, texts, names, doors.clock())
        seen = hosts_of.looks(doors.fleet, names)
        _refuse_out_of_reach(seen)
        if not check:
            _refuse_in_force(doors, requests, seen)
        done = hosts_of.run(doors.fleet, requests, check)
        if not check and any(done.changes.values()):
            body = {"system": doors.profile.system, "changes": {h: list(c) for h, c in done.changes.items() if c},
                    "failed": dict(done.failed)}  # fmt: skip
            doors.ledger.append("host.prepared", body)
    return Preparation(done.changes, done.failed, _stale(doors, done, seen))


def _named(doors: Doors, hosts: Sequence[str]) -> list[str]:
    known = list(doors.profile.hosts)
    for name in hosts:
        if name not in known:
            raise InputError(f"{doors.profile.system} has no host {name!r}", expected=f"one of: {', '.join(known)}",
                             remedy="name one with --host, several with commas")  # fmt: skip
    return [name for name in known if name in hosts] if hosts else known


def _refuse_out_of_reach(seen: Mapping[str, Reply]) -> None:
    """A dark host, or one on which Interlock is not root, could not be prepared."""
    out = [f"{host}: {reply.error}" for host, reply in seen.items() if not reply.reached]
    users = {host: (reply.look.get("machine") or {}).get("user", "root") for host, reply in seen.items()}
    out += [
        f"{host}: Interlock is {user} there, not root (ansible_become: true)"
        for host, user in users.items()
        if user != "root"
    ]
    if out:
        raise Refused(f"{len(out)} of {len(seen)} hosts cannot be prepared: nothing was changed", reasons=out,
                      remedy="mend it, or name the others with --host")  # fmt: skip


def _refuse_in_force(doors: Doors, requests: Requests, seen: Mapping[str, Reply]) -> None:
    """A host whose bot may be trading may only be prepared if that changes nothing, or if there is nothing yet."""
    why = {host: text for host, reply in seen.items() if (text := hosts_of.in_force(reply, doors.profile))}
    if not why:
        return
    found = hosts_of.run(doors.fleet, {host: requests[host] for host in why}, check=True)
    reasons = [f"{host}: {text}" for host, text in found.failed.items()]
    for host, changes in found.changes.items():
        if changes and not hosts_of.is_bare(doors.fleet, host, changes):
            reasons += [f"{host}: {why[host]}, and these would change: {', '.join(changes)}"]
    if reasons:
        raise Refused(f"{doors.profile.system} was not prepared: nothing was changed", reasons=reasons,
                      remedy="invoke rollback (or invoke kill) first; --check shows what would change")  # fmt: skip


def _stale(doors: Doors, done: Preparation, seen: Mapping[str, Reply]) -> tuple[str, ...]:
    """The hosts on which a service runs by a unit that was changed under it."""
    running = [h for h, r in seen.items() if (r.look.get("process") or {}).get("state") in ("RUNNING", "STARTING")]
    return tuple(h for h in running if hosts_of.touches_services(doors.fleet, h, done.changes.get(h, ())))
