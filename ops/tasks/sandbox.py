"""`invoke sandbox.*`: the embedded sandbox, and the faults that can be switched on in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ops.tasks.opening import JSON_HELP
from ops.tasks.telling import Told, operator_task

if TYPE_CHECKING:
    from ops.doors import Doors
    from ops.sandbox.manager import Sandbox

ENV_HELP = "the sandbox environment"
ONE_HELP = "system; the default one if left out"
RUNNING_HELP = "system; all of them if left out"


def _doors(env: str, system: str) -> list[Doors]:
    """The doors of the named systems, of all of them, or of the one that is meant."""
    from ops.tasks.opening import chosen_place, doors_of, meant_systems

    where = chosen_place(env)
    return [doors_of(where, name) for name in meant_systems(where, system)]


def _running(env: str, system: str) -> list[Sandbox]:
    """The named sandbox; without a name those of which anything runs."""
    from ops.provider import sandbox_of

    found = [sandbox_of(doors, lambda text: None) for doors in _doors(env, system or "all")]
    return found if system else [sandbox for sandbox in found if sandbox.awake]


@operator_task(changes=True, help={"env": ENV_HELP, "system": f"{ONE_HELP}, or all", "json": JSON_HELP})
def up(env: str = "sandbox", system: str = "", json: bool = False) -> Told:
    """Start a system's simulated venues, monitoring and two local hosts, with a simulated week of paper trading.

    Exit codes: 0 up, 2 a port is busy or a folder cannot be written. Page: runbooks/sandbox.md
    """
    from ops.tasks.progress import shown

    opened = _doors(env, system)
    with shown(json) as progress:
        started = [doors.profile.system for doors in opened if _brought_up(doors, progress.note)]
    hosts = sum(len(doors.profile.hosts) for doors in opened)
    said = "is up" if started else "was up already"
    option = f" --system={system}" if system else ""
    return Told(
        f"The sandbox {said}: {hosts} hosts on loopback. Next: invoke go-live --env={env}{option}",
        document={"up": True, "started": started},
    )


def _brought_up(doors: Doors, say: Callable[[str], None]) -> bool:
    from ops.provider import ensure_up, sandbox_of
    from ops.tasks.opening import keep_kill_ready

    sandbox_of(doors, say)  # refuses an environment that is no sandbox
    started = ensure_up(doors, say)
    keep_kill_ready(doors)
    return started


@operator_task(
    changes=True,
    help={
        "env": ENV_HELP,
        "system": RUNNING_HELP,
        "wipe": "remove everything that the environment ever wrote, too",
        "json": JSON_HELP,
    },
)
def down(env: str = "sandbox", system: str = "", wipe: bool = False, json: bool = False) -> Told:
    """End the sandbox's processes; --wipe removes its folder, so that the next start is a fresh one.

    Exit codes: 0 down, 2 not a sandbox. Page: runbooks/sandbox.md
    """
    from ops.errors import InputError
    from ops.provider import sandbox_of
    from ops.provider import wipe as wiped
    from ops.sandbox.daemons import stop_all
    from ops.tasks.opening import chosen_place

    if wipe and system not in ("", "all"):
        raise InputError("the systems share one folder and one ledger", expected="--wipe without --system")
    # Those that do not answer too: a stop that finds nothing to end changes nothing.
    found = [sandbox_of(doors, lambda text: None) for doors in _doors(env, system or "all")]
    stop_all(daemon for sandbox in found for daemon in sandbox.daemons)
    if wipe:
        wiped(chosen_place(env))
    return Told(
        f"The sandbox is down{' and wiped' if wipe else ''}. Next: invoke sandbox.up",
        document={"up": False, "wiped": wipe},
    )


@operator_task(help={"env": ENV_HELP, "system": RUNNING_HELP, "json": JSON_HELP})
def status(env: str = "sandbox", system: str = "", json: bool = False) -> Told:
    """Show the sandbox's processes.

    Exit codes: 0 shown, 2 not a sandbox. Page: runbooks/sandbox.md
    """
    found = _running(env, system)
    rows = [row for sandbox in found for row in sandbox.status()]
    up = bool(found) and all(sandbox.up for sandbox in found)
    lines = [f"{row['system']:<18} {row['host']:<28} {row['program']:<14} {row['state']}" for row in rows]
    return Told(
        f"The sandbox is {'up' if up else 'DOWN'}. Next: invoke sandbox.{'fault' if up else 'up'}",
        lines,
        {"up": up, "programs": rows},
    )


@operator_task(
    changes=True,
    help={
        "name": "the fault; without it, all of them are listed",
        "where": "live or kraken/live (faults of a venue), or a host's name (faults of a bot or a host); else nothing",
        "off": "switch it off again",
        "env": ENV_HELP,
        "system": "system; the host's, the only one that runs, or the default one if left out",
        "json": JSON_HELP,
    },
)
def fault(
    name: str = "", where: str = "", off: bool = False, env: str = "sandbox", system: str = "", json: bool = False
) -> Told:
    """Switch a fault on or off: of a venue, of the channels, of the monitoring, or of a bot that lies.

    Exit codes: 0 switched or listed, 2 unknown fault or place. Page: runbooks/sandbox.md
    """
    from ops.sandbox.switching import catalogue, switch_fault

    sandbox = _meant(env, system, where)
    if not name:
        rows = catalogue(sandbox)
        lines = [
            f"{row['fault']:<24} {row['scope']:<12} {', '.join(row['on']) or '-':<14} {row['text']}" for row in rows
        ]
        return Told(f"{len(rows)} faults. Next: invoke sandbox.fault --name=NAME --where=live", lines, {"faults": rows})
    said = switch_fault(sandbox, name, where, not off)
    return Told(
        f"{said} ({sandbox.system}). Next: invoke status",
        document={"system": sandbox.system, "fault": name, "where": where, "on": not off},
    )


def _meant(env: str, system: str, where: str) -> Sandbox:
    """The sandbox of the named system, of the named host, the only one that runs, or the default one."""
    from ops.provider import sandbox_of

    if not system:
        running = _running(env, "")
        fitting = [sandbox for sandbox in running if where in [host.name for host in sandbox.hosts]]
        found = fitting or running
        if len(found) == 1:
            return found[0]
    return sandbox_of(_doors(env, system)[0], lambda text: None)


@operator_task(
    changes=True,
    name="new-key",
    help={"slot": "live or paper", "env": ENV_HELP, "system": ONE_HELP, "json": JSON_HELP},
)
def new_key(slot: str = "live", env: str = "sandbox", system: str = "", json: bool = False) -> Told:
    """Play the person at the venues' sites: make new keys for a system's bots and hand them in as pending.

    Where a venue allows one key only (Alpaca), the old one dies at once.
    Exit codes: 0 handed in, 2 bad input. Page: runbooks/rotate-keys.md
    """
    from ops.errors import InputError
    from ops.provider import sandbox_of

    if slot not in ("live", "paper"):
        raise InputError("there is no such slot", expected="live or paper", seen=slot)
    doors = _doors(env, system)[0]
    files = sandbox_of(doors, lambda text: None).new_keys("live" if slot == "live" else "paper")
    lie = f"A new {slot} key lies" if len(files) == 1 else f"New {slot} keys lie"
    return Told(
        f"{lie} in {', '.join(map(str, files))}. "
        f"Next: invoke rotate-keys --env={env} --system={doors.profile.system} --slot={slot}",
        document={"slot": slot, "files": [str(path) for path in files]},
    )
