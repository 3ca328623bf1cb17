"""From the words `--env` and `--system` to opened doors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ops.errors import InputError

if TYPE_CHECKING:
    from ops.doors import Doors
    from ops.inventory import Place

ENV_HELP = "environment (a folder in inventory/); default: $INTERLOCK_ENV, else the one that is live, else sandbox"
SYSTEM_HELP = "system; may be left out when only one fits"
SYSTEMS_HELP = "system, several with commas, or all; may be left out when only one fits"
JSON_HELP = "answer in JSON"


def chosen_place(env: str) -> Place:
    """The environment that is meant: named, else $INTERLOCK_ENV, else live or in transition, else sandbox."""
    from ops.inventory import environments, place

    name = env or os.environ.get("INTERLOCK_ENV", "")
    if not name:
        name = next((e for e in environments() if e != "sandbox" and _restless(place(e))), "sandbox")
    return place(name)


def _restless(where: Place) -> bool:
    """Whether a system of the environment is live or in transition."""
    return bool(restless(where))


def restless(where: Place) -> list[str]:
    """The systems that are live, in transition, or left with residue, by the environment's ledger alone."""
    from ops.doors import utc_now
    from ops.inventory import systems
    from ops.ledger.store import Ledger
    from ops.model.history import replay

    path = where.state / "ledger.sqlite"
    if not path.exists():
        return []
    records = Ledger(path, "", utc_now).records()
    histories = [replay(records, system) for system in systems(where)]
    return [history.system for history in histories if history.live or history.interrupted or history.residue]


def chosen_systems(where: Place, system: str) -> list[str]:
    """The systems that are named, one or several with commas between; all for `all` or no name. Raises InputError."""
    from ops.inventory import profile_path, systems

    known = systems(where)
    if not known:
        raise InputError("the environment has no system", file=where.inventory / "systems", remedy="add a profile")
    named = [] if system in ("", "all") else [name.strip() for name in system.split(",")]
    for name in named:
        if name not in known:
            raise InputError(
                f"there is no system {name!r} in {where.name}", file=profile_path(where, name),
                expected=f"one of: {', '.join(known)}", remedy="name one with --system",
            )  # fmt: skip
    return list(dict.fromkeys(named)) or known


def one_system(where: Place, system: str) -> str:
    """The one system that is meant: named, else the only one, else the one that is live or in transition, else the
    environment's default. Raises InputError when several would fit."""
    from ops.inventory import load_environment

    found = chosen_systems(where, system)
    if not system and len(found) > 1:
        found = restless(where) or [load_environment(where).default_system or ""]
    if len(found) != 1 or not found[0]:
        fit = found if len(found) > 1 else chosen_systems(where, "")
        raise InputError("several systems fit", expected="--system=NAME", seen=", ".join(fit))
    return found[0]


def meant_systems(where: Place, system: str) -> list[str]:
    """The systems that are named, or `all`; without a name the one that is meant. Raises InputError."""
    return chosen_systems(where, system) if system else [one_system(where, "")]


def open_doors(env: str, system: str, requester: str = "") -> Doors:
    """The doors of one system."""
    where = chosen_place(env)
    return doors_of(where, one_system(where, system), requester)


def doors_of(where: Place, name: str, requester: str = "") -> Doors:
    """The doors of one system by the inventory of that place."""
    from ops.doors import Doors, utc_now
    from ops.hosts.fleet import Fleet
    from ops.inventory import load_environment, load_people, load_profile
    from ops.ledger.store import Ledger
    from ops.network import enter
    from ops.provider import interlock_user
    from ops.secrets import Secrets
    from ops.transitions.plans import operating_user

    environment, profile = load_environment(where), load_profile(where, name)
    enter(environment.network)
    secrets = Secrets(Path(environment.secrets))
    who = requester or interlock_user() or operating_user()
    ledger = Ledger(where.state / "ledger.sqlite", who, utc_now)
    fleet = Fleet(where, profile, secrets.salt())
    return Doors(where, environment, profile, load_people(where), ledger, fleet, secrets, who)


def keep_kill_ready(doors: Doors) -> None:
    """The kill target as the profile has it now, and the records of kills that could not reach the ledger."""
    from ops.hosts.ansible import warm_up
    from ops.targets import keep_inventory, keep_target
    from ops.transitions.spool import absorb_spool

    warm_up()  # who makes this ready goes on to the hosts
    keep_inventory(doors)
    keep_target(doors)
    absorb_spool(doors)
