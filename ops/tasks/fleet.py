"""`invoke fleet.*`: real Debian hosts on this machine, to try Interlock on; see runbooks/fleet.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.tasks.opening import JSON_HELP
from ops.tasks.telling import BAD_INPUT, Told, operator_task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ops.inventory import Place
    from ops.sandbox.fleet.ground import Ground

NAME = "fleet"
ALL = "alpaca-bot,ibkr-assistant"


def _place() -> Place:
    """The environment of the fleet; its folder in the inventory may not be there yet."""
    from ops.inventory import Place
    from ops.project import inventory_root, state_root

    return Place(NAME, inventory_root() / NAME, state_root() / NAME)


def _ground() -> Ground:
    from ops.sandbox.fleet.ground import Ground

    return Ground.of(_place().state)


@operator_task(
    changes=True,
    help={
        "hosts": "how many hosts with systemd",
        "systems": f"systems with commas; {ALL} if left out. ibkr-assistant gets one host with Docker",
        "json": JSON_HELP,
    },
)
def up(hosts: str = "3", systems: str = ALL, json: bool = False) -> Told:
    """Boot real Debian hosts on this machine (systemd, sshd, Docker) with the bots on paper, as the environment fleet.

    Needs root, and of Debian systemd-container, debootstrap, openssh-server, iproute2, docker-compose with its engine.
    The hosts have a network of their own without a way out. The first start fetches a small Debian.
    Exit codes: 0 up, 2 something is missing or did not come up. Page: runbooks/fleet.md
    """
    from ops.errors import InputError
    from ops.sandbox.fleet.inventory import host_names
    from ops.tasks.progress import shown

    if not hosts.isdigit():
        raise InputError("--hosts takes a number", expected="--hosts=3", seen=hosts)
    chosen = tuple(dict.fromkeys(name.strip() for name in systems.split(",") if name.strip()))
    names = host_names(chosen, int(hosts))
    with shown(json) as progress:
        fresh = _booted(names, chosen, progress.note)
        for system in chosen:
            _bring_up(system, progress.note)
    return Told(
        f"The fleet {'is up' if fresh else 'was up already'}: {len(names)} hosts over ssh, on paper. "
        f"Next: invoke go-live --env={NAME} | invoke fleet.status | invoke fleet.down",
        document={"up": True, "started": fresh, "hosts": list(names)},
    )


def _booted(names: object, systems: Sequence[str], say: Callable[[str], None]) -> bool:
    """Boots the hosts and writes their environment; False if this very fleet runs already. Raises InputError."""
    from ops.errors import InputError
    from ops.project import inventory_root
    from ops.provider import wipe
    from ops.sandbox.fleet.inventory import write

    ground, place = _ground(), _place()
    running = {machine.name: machine.kind for machine in ground.machines}
    if running == names and (place.inventory / "environment.yml").is_file():
        return False
    if running:
        raise InputError(
            f"another fleet is up: {', '.join(running)}", remedy="invoke fleet.down first, which takes it away"
        )
    wipe(place)
    known_hosts = ground.start(names, say)  # type: ignore[arg-type]
    write(inventory_root(), ground, systems, known_hosts)
    return True


def _bring_up(system: str, say: Callable[[str], None]) -> None:
    """One system's world, code, week on paper and bots; nothing where they run already."""
    from ops.provider import make_approvers, sandbox_of
    from ops.tasks.opening import doors_of, keep_kill_ready

    doors = doors_of(_place(), system)
    make_approvers(doors)
    sandbox_of(doors, say, lambda: _prepared(doors)).start()
    keep_kill_ready(doors)


def _prepared(doors: object) -> None:
    """What `invoke host.prepare` does. Raises HostError naming the hosts on which it failed."""
    from ops.errors import HostError
    from ops.transitions.prepare import prepare

    done = prepare(doors, [], False)  # type: ignore[arg-type]
    if done.failed:
        raise HostError("; ".join(f"{host} could not be prepared: {why}" for host, why in done.failed.items()))


@operator_task(changes=True, help={"json": JSON_HELP})
def down(json: bool = False) -> Told:
    """End the fleet and take its hosts, network, environment and state away; also what a crash has left of one.

    Exit codes: 0 down. Page: runbooks/fleet.md
    """
    import shutil

    from ops.provider import wipe

    place = _place()
    was_there = _ground().stop()
    wipe(place)
    shutil.rmtree(place.inventory, ignore_errors=True)
    said = "is down; nothing of it is left" if was_there else "was not up"
    return Told(f"The fleet {said}. Next: invoke fleet.up", document={"up": False, "was_up": was_there})


@operator_task(help={"json": JSON_HELP})
def status(json: bool = False) -> Told:
    """Show the fleet's hosts.

    Exit codes: 0 shown. Page: runbooks/fleet.md
    """
    rows = [dict(machine.facts()) for machine in _ground().machines]
    lines = [f"{row['host']:<12} {row['kind']:<8} {row['address']:<14} {row['state']}" for row in rows]
    up = bool(rows) and all(row["state"] == "RUNNING" for row in rows)
    return Told(
        f"The fleet is {'up' if up else 'DOWN' if not rows else 'NOT all up'}. "
        f"Next: invoke {'go-live --env=fleet' if up else 'fleet.up'}",
        lines,
        {"up": up, "hosts": rows},
    )


@operator_task(
    changes=True,
    help={"host": "the host", "command": "a line for its shell, run as root", "json": JSON_HELP},
)
def run(host: str, command: str, json: bool = False) -> Told:
    """Run a command on a host of the fleet as its root, past its network: to look at it, or to break something.

    Exit codes: 0 it succeeded, 2 it did not, or there is no such host. Page: runbooks/fleet.md
    """
    done = _ground().machine(host).enter(["/bin/sh", "-c", command])
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    return Told(
        f"{host}: it ended with {done.returncode}. Next: invoke fleet.status",
        lines,
        {"host": host, "status": done.returncode, "output": done.stdout, "errors": done.stderr},
        0 if done.returncode == 0 else BAD_INPUT,
    )
