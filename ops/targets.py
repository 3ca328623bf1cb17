"""Compiles what kill needs of a system into one flat private file, so that kill needs nothing else later."""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

from ops.doors import Doors
from ops.hosts.ansible import PLAYBOOKS
from ops.kill.targets import HostTarget, Target, VenueTarget, folder, read_targets
from ops.model.profile import Slot


def compile_target(doors: Doors, known: Collection[str] = ()) -> Target:
    """The target as the profile has it now. An account whose key is not there yet is left out; one that was `known`
    stays, so that a key which got lost shows up as residue and not as an account forgotten."""
    profile = doors.profile
    prefixes = tuple(host.order_prefix for host in profile.hosts.values())
    slots: tuple[Slot, ...] = get_args(Slot)
    venues = tuple(
        VenueTarget(
            slot, profile.venue.kind, profile.venue.slot(slot).endpoint, profile.venue.slot(slot).account,
            str(doors.secrets.path(profile.venue.slot(slot).credentials)), prefixes,
        )
        for slot in slots
        if slot in known or doors.secrets.has(profile.venue.slot(slot).credentials)
    )  # fmt: skip
    hosts = tuple(HostTarget(name, doors.fleet.request(name, "kill")) for name in profile.hosts)
    return Target(profile.system, str(PLAYBOOKS / "library" / "interlock_host.py"), hosts, venues)


def keep_inventory(doors: Doors) -> None:
    """A copy of what this environment's inventory said when it was last good: the way down goes by it if need be."""
    inventory, kept = doors.place.inventory, doors.place.last_good
    if inventory == kept:
        return
    for name in ("environment.yml", "people.yml", "hosts.yml", f"systems/{doors.profile.system}.yml"):
        text = (inventory / name).read_text()
        if not (kept / name).exists() or (kept / name).read_text() != text:
            doors.secrets.store(kept / name, text)


def keep_target(doors: Doors) -> None:
    """Writes the file if it differs from what is there."""
    path = folder(doors.place.state) / f"{doors.profile.system}.target.json"
    before, _ = read_targets(doors.place.state, [doors.profile.system])
    known = {venue.slot for target in before for venue in target.venues}
    text = compile_target(doors, known).as_text()
    if not path.exists() or path.read_text() != text:
        doors.secrets.store(path, text)
