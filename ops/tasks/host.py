"""`invoke host.prepare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import BAD_INPUT, DONE, Told, operator_task

if TYPE_CHECKING:
    from ops.doors import Doors
    from ops.hosts.prepare import Preparation


@operator_task(
    changes=True,
    help={
        "env": ENV_HELP,
        "system": SYSTEMS_HELP,
        "host": "host, several with commas; all of the system's without it",
        "check": "show what would change, and change nothing",
        "json": JSON_HELP,
    },
)
def prepare(env: str = "", system: str = "", host: str = "", check: bool = False, json: bool = False) -> Told:
    """Make bare Debian hosts into a system's: user, folders, units, gate, helper, log rotation. Twice changes nothing.

    A fresh host is tripped from the beginning. Starts no bot, installs no release, and changes nothing under a bot that
    is armed or live. Replaces an older helper.
    Exit codes: 0 done, 2 bad input or a host on which it failed, 3 refused, nothing changed.
    Page: runbooks/prepare-a-host.md
    """
    from ops.tasks.several import each_system

    return each_system(env, system, lambda e, s: _one(e, s, host, check), json)


def _one(env: str, system: str, host: str, check: bool) -> Told:
    from ops.errors import InputError
    from ops.tasks.opening import open_doors
    from ops.transitions.prepare import prepare as run

    doors = open_doors(env, system)
    if doors.environment.provider == "sandbox":
        raise InputError("the sandbox prepares its own hosts", remedy="name an environment of real hosts with --env")
    done = run(doors, [name.strip() for name in host.split(",") if name.strip()], check)
    return Told(
        _sentence(doors, done, check),
        _lines(done, check),
        {
            "system": doors.profile.system,
            "check": check,
            "changes": {name: list(changes) for name, changes in done.changes.items()},
            "failed": dict(done.failed),
            "restart_needed": list(done.stale),
        },
        BAD_INPUT if done.failed else DONE,
    )


def _lines(done: Preparation, check: bool) -> list[str]:
    """What changed, hosts with the same changes together; and where it failed, why."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, changes in done.changes.items():
        alike.setdefault(tuple(changes), []).append(name)
    lines = []
    for changes, names in alike.items():
        said = changes or (f"nothing {'would change' if check else 'changed'}",)
        lines += [f"{', '.join(names)}: {change}" for change in said]
    return lines + [f"{name}: FAILED: {text}" for name, text in done.failed.items()]


def _sentence(doors: Doors, done: Preparation, check: bool) -> str:
    system, changed = doors.profile.system, [name for name, changes in done.changes.items() if changes]
    if done.failed:
        return f"{system}: NOT prepared: {', '.join(done.failed)}; {len(done.changes)} prepared. Mend it, run it again"
    what = f"{', '.join(changed)} {'would change' if check else 'changed'}" if changed else "nothing changed"
    said = f"{system}: {len(done.changes)} hosts {'checked' if check else 'prepared'}, {what}"
    return said if check or not changed else f"{said}. Next: {_next(doors, done)}"


def _next(doors: Doors, done: Preparation) -> str:
    """What prepare leaves to people: the release, and the start of the bot."""
    release = doors.profile.release
    empty = [name for name, all_of in done.changes.items() if any(one.endswith(f"/{release}: made") for one in all_of)]
    if empty:
        return f"put your release into {release}/ on {', '.join(empty)} (it is empty), then invoke restart"
    return f"invoke restart ({', '.join(done.stale)} still run by the old unit)" if done.stale else "invoke verify"
