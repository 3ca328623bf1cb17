"""`invoke sandbox.*`: the embedded sandbox, and the faults that can be switched on in it."""

from __future__ import annotations

from ops.tasks.opening import JSON_HELP
from ops.tasks.telling import Told, operator_task

ENV_HELP = "the sandbox environment"


@operator_task(changes=True, help={"env": ENV_HELP, "json": JSON_HELP})
def up(env: str = "sandbox", json: bool = False) -> Told:
    """Start the simulated venue, the monitoring and two local hosts, with a simulated week of paper trading.

    Exit codes: 0 up, 2 a port is busy or a folder cannot be written. Page: runbooks/sandbox.md
    """
    from ops.provider import ensure_up, sandbox_of
    from ops.tasks.opening import keep_kill_ready, open_doors
    from ops.tasks.progress import shown

    doors = open_doors(env, "")
    with shown(json) as progress:
        sandbox_of(doors, progress.note)
        started = ensure_up(doors, progress.note)
        keep_kill_ready(doors)
    said = "is up" if started else "was up already"
    return Told(
        f"The sandbox {said}: {len(doors.profile.hosts)} hosts on loopback. Next: invoke go-live --env={env}",
        document={"up": True, "started": started},
    )


@operator_task(changes=True, help={"env": ENV_HELP, "wipe": "remove everything it ever wrote, too", "json": JSON_HELP})
def down(env: str = "sandbox", wipe: bool = False, json: bool = False) -> Told:
    """End the sandbox's processes; --wipe removes its folder, so that the next start is a fresh one.

    Exit codes: 0 down, 2 not a sandbox. Page: runbooks/sandbox.md
    """
    from ops.provider import sandbox_of
    from ops.tasks.opening import open_doors

    doors = open_doors(env, "")
    sandbox_of(doors, lambda text: None).stop(wipe)
    return Told(
        f"The sandbox is down{' and wiped' if wipe else ''}. Next: invoke sandbox.up",
        document={"up": False, "wiped": wipe},
    )


@operator_task(help={"env": ENV_HELP, "json": JSON_HELP})
def status(env: str = "sandbox", json: bool = False) -> Told:
    """Show the sandbox's processes.

    Exit codes: 0 shown, 2 not a sandbox. Page: runbooks/sandbox.md
    """
    from ops.provider import sandbox_of
    from ops.tasks.opening import open_doors

    doors = open_doors(env, "")
    sandbox = sandbox_of(doors, lambda text: None)
    rows = sandbox.status()
    lines = [f"{row['host']:<10} {row['program']:<12} {row['state']}" for row in rows]
    return Told(
        f"The sandbox is {'up' if sandbox.up else 'DOWN'}. Next: invoke sandbox.{'fault' if sandbox.up else 'up'}",
        lines,
        {"up": sandbox.up, "programs": rows},
    )


@operator_task(
    changes=True,
    help={
        "name": "the fault; without it, all of them are listed",
        "where": "paper or live (faults of the venue), or a host's name (faults of a bot or a host); else nothing",
        "off": "switch it off again",
        "env": ENV_HELP,
        "json": JSON_HELP,
    },
)
def fault(name: str = "", where: str = "", off: bool = False, env: str = "sandbox", json: bool = False) -> Told:
    """Switch a fault on or off: of the venue, of the channels, of the monitoring, or of a bot that lies.

    Exit codes: 0 switched or listed, 2 unknown fault or place. Page: runbooks/sandbox.md
    """
    from ops.provider import sandbox_of
    from ops.sandbox.switching import catalogue, switch_fault
    from ops.tasks.opening import open_doors

    doors = open_doors(env, "")
    sandbox = sandbox_of(doors, lambda text: None)
    if not name:
        rows = catalogue(sandbox)
        lines = [f"{row['fault']:<24} {', '.join(row['on']) or '-':<14} {row['text']}" for row in rows]
        return Told(f"{len(rows)} faults. Next: invoke sandbox.fault --name=NAME --where=live", lines, {"faults": rows})
    said = switch_fault(sandbox, name, where, not off)
    return Told(f"{said}. Next: invoke status", document={"fault": name, "where": where, "on": not off})


@operator_task(changes=True, name="new-key", help={"slot": "live or paper", "env": ENV_HELP, "json": JSON_HELP})
def new_key(slot: str = "live", env: str = "sandbox", json: bool = False) -> Told:
    """Play the person at the venue's dashboard: regenerate a key and hand the new one in as pending.

    The old key dies at once, as it does at the venue.
    Exit codes: 0 handed in, 2 bad input. Page: runbooks/rotate-keys.md
    """
    from ops.errors import InputError
    from ops.provider import sandbox_of
    from ops.tasks.opening import open_doors

    if slot not in ("live", "paper"):
        raise InputError("there is no such slot", expected="live or paper", seen=slot)
    doors = open_doors(env, "")
    path = sandbox_of(doors, lambda text: None).new_key(slot)
    return Told(
        f"A new {slot} key lies in {path}; the old one is dead at the venue. "
        f"Next: invoke rotate-keys --env={env} --slot={slot}",
        document={"slot": slot, "file": str(path)},
    )
