"""Compiles what kill needs of a system into one flat private file, so that kill needs nothing else later."""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

from ops.doors import Doors
from ops.hosts.ansible import PLAYBOOKS
from ops.kill.targets import HostTarget, Target, VenueTarget, folder, read_targets
from ops.model.profile import Slot


def compile_target(doors: Doors, known: Collection[tuple[str, str]] = ()) -> Target:
    """The target as the profile has it now. An account whose key is not there yet is left out; one that was `known`
    (venue, slot) stays, so that a key which got lost shows up as residue and not as an account forgotten."""
    venues = tuple(
        _account(doors, venue, slot)
        for venue, slot in doors.accounts(*get_args(Slot))
        if (venue, slot) in known or doors.may_open(venue, slot)
    )
    hosts = tuple(HostTarget(name, doors.fleet.request(name, "kill")) for name in doors.profile.hosts)
    return Target(doors.profile.system, str(PLAYBOOKS / "library" / "interlock_host.py"), hosts, venues)


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
    for name in ("environment.yml", "people.yml", "hosts.yml", f"systems/{doors.profile.system}.yml"):
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
