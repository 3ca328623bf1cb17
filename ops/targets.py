"""Compiles what kill needs of a system into one flat private file, so that kill needs nothing else later."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import get_args

from ops.doors import Doors
from ops.errors import InputError
from ops.hosts.ansible import PLAYBOOKS
from ops.hosts.ssh import Address, addresses, host_program_command, ssh_argv
from ops.kill.targets import HostTarget, Target, VenueTarget, folder, read_targets
from ops.model.profile import Slot

KEPT = ("environment.yml", "people.yml", "hosts.yml")
OF_SSH = ("known_hosts", "ssh_config")


def compile_target(doors: Doors, known: Collection[tuple[str, str]] = ()) -> Target:
    """The target as the profile has it now. An account whose key is not there yet is left out; one that was `known`
    (venue, slot) stays, so that a key which got lost shows up as residue and not as an account forgotten."""
    venues = tuple(
        _account(doors, venue, slot)
        for venue, slot in doors.accounts(*get_args(Slot))
        if (venue, slot) in known or doors.may_open(venue, slot)
    )
    reached = addresses(doors.place.inventory / "hosts.yml")
    hosts = tuple(_host(doors, name, reached) for name in doors.profile.hosts)
    program = str(PLAYBOOKS / "library" / "interlock_host.py")
    return Target(doors.profile.system, program, hosts, venues, doors.environment.network)


def _host(doors: Doors, name: str, known: Mapping[str, Address]) -> HostTarget:
    """One host with the complete command that reaches it; a connection that Ansible has open serves, none is kept.

    The command reads the last good copies of ssh's files, and the inventory's host keys besides, if they are there.
    """
    if name not in known:
        raise InputError(
            f"there is no host {name!r}", file=doors.place.inventory / "hosts.yml",
            expected=f"one of: {', '.join(known) or 'none'}", remedy="add it, or correct the profile",
        )  # fmt: skip
    address, request = known[name], doors.fleet.request(name, "kill")
    if address.local:
        return HostTarget(name, request)
    kept = replace(doors.place, inventory=doors.place.last_good)
    keys = " ".join(f'"{folder / "known_hosts"}"' for folder in (doors.place.inventory, kept.inventory))
    ssh, *rest = ssh_argv(kept, address, host_program_command(address.python))
    command = (ssh, "-o", "ControlMaster=no", "-o", f"UserKnownHostsFile={keys}", *rest)
    return HostTarget(name, request, command, str(doors.place.run))


def _account(doors: Doors, venue: str, slot: Slot) -> VenueTarget:
    """One account with the files of the credentials that cancel and that read there: its own, else the bot's."""
    setting = doors.profile.venues[venue]
    account, names = setting.slot(slot), dict.fromkeys(doors.profile.bot_keys(venue, slot).values())
    bot_files = tuple(str(doors.secrets.path(name)) for name in names)
    first = bot_files[0] if bot_files else None
    kill_file, observer_file = (
        first if name is None else str(doors.secrets.path(name)) for name in (account.kill, account.observer)
    )
    return VenueTarget(
        venue=venue, slot=slot, kind=setting.kind, endpoint=account.endpoint, account=account.account,
        kill_file=kill_file, observer_file=observer_file, order_prefixes=doors.own_orders(venue, slot),
        bot_files=bot_files,
    )  # fmt: skip


def keep_inventory(doors: Doors) -> None:
    """A copy of what this environment's inventory said when it was last good: the way down goes by it if need be."""
    inventory, kept = doors.place.inventory, doors.place.last_good
    if inventory == kept:
        return
    addresses(inventory / "hosts.yml")  # else it is no good one
    for name in (*KEPT, *OF_SSH, f"systems/{doors.profile.system}.yml"):
        if name in OF_SSH and not (inventory / name).exists():
            (kept / name).unlink(missing_ok=True)
            continue
        text = (inventory / name).read_text()
        if not (kept / name).exists() or (kept / name).read_text() != text:
            doors.secrets.store(kept / name, text)


def keep_target(doors: Doors) -> None:
    """Writes the file if it differs from what is there."""
    path = folder(doors.place.state) / f"{doors.profile.system}.target.json"
    before, _ = read_targets(doors.place.state, [doors.profile.system])
    known = {(venue.venue, venue.slot) for target in before for venue in target.venues}
    text = compile_target(doors, known).as_text()
    if not path.exists() or path.read_text() != text:
        doors.secrets.store(path, text)
