"""The doors to the outside, opened for one system: what checks look through and steps act through.

Everything here is an instance of a class in one of the rooms of floor 1; a test opens other doors by passing others in.
"""

from __future__ import annotations

import secrets as random_source
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from ops.errors import InputError
from ops.hosts.fleet import Fleet
from ops.inventory import Environment, Person, Place
from ops.ledger.store import Ledger
from ops.model.profile import Profile, Slot
from ops.model.traits import TRAITS
from ops.secrets import Credentials, Secrets
from ops.venues.protocol import Keys, OrderView, VenueActor, VenueReader
from ops.venues.registry import open_venue

Answer = TypeVar("Answer")


def utc_now() -> datetime:
    """The one clock that is not injected: the default that is."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Doors:
    """One system of one environment, with everything that leads to it."""

    place: Place
    environment: Environment
    profile: Profile
    people: Mapping[str, Person]
    ledger: Ledger
    fleet: Fleet
    secrets: Secrets
    requester: str
    clock: Callable[[], datetime] = utc_now
    new_id: Callable[[], str] = lambda: random_source.token_hex(6)
    pause: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    _venues: dict[str, VenueActor] = field(default_factory=dict)

    def accounts(self, *slots: Slot) -> list[tuple[str, Slot]]:
        """Every account of these slots, venue by venue; of both slots if none is named, the live one first."""
        return [(venue, slot) for venue in self.profile.venues for slot in slots or ("live", "paper")]

    def account_name(self, venue: str, slot: Slot) -> str:
        """What people call an account: its slot, and its venue where the system has several."""
        return slot if len(self.profile.venues) == 1 else f"{venue} {slot}"

    def credentials(self, venue: str, slot: Slot, state: str = "current", host: str = "") -> Credentials:
        """The bot's credentials on a host, the first one if none is named. Raises InputError if they are not there."""
        names = self.profile.bot_keys(venue, slot)
        if not names:
            raise InputError(f"{venue} has no credentials", remedy="its gateway decides who may trade")
        return self.secrets.credentials(names[host] if host else next(iter(names.values())), state)

    def bot_credentials(self, slot: Slot) -> dict[str, dict[str, Credentials]]:
        """Host -> venue -> what the bot on it must hold. Raises InputError as above."""
        keyed = [venue for venue in self.profile.venues if self.profile.bot_keys(venue, slot)]
        return {host: {v: self.credentials(v, slot, host=host) for v in keyed} for host in self.profile.hosts}

    def has_keys(self, venue: str, slot: Slot) -> bool:
        """Whether every host's bot has its credentials there, or needs none."""
        return all(self.secrets.has(name) for name in self.profile.bot_keys(venue, slot).values())

    def may_open(self, venue: str, slot: Slot) -> bool:
        """Whether Interlock can ask about the account: no key is needed, or one that can read is there."""
        observer, names = self.profile.venues[venue].slot(slot).observer, self.profile.bot_keys(venue, slot)
        return not names or (observer is not None and self.secrets.has(observer)) or self.has_keys(venue, slot)

    def keys(self, venue: str, slot: Slot, state: str = "current") -> Keys:
        """Interlock's own keys to an account; for each purpose without one of its own, the first host's bot's.

        The bot's may be missing only where Interlock has both others. `state` is that of the bot's.
        """
        account, names = self.profile.venues[venue].slot(slot), self.profile.bot_keys(venue, slot)
        if not names:
            return Keys()
        alone = account.observer and account.kill and not self.secrets.has(next(iter(names.values())), state)
        bot = None if alone else self.credentials(venue, slot, state)
        observer = self.secrets.credentials(account.observer) if account.observer else bot
        return Keys(bot, observer, self.secrets.credentials(account.kill) if account.kill else bot)

    def reader(self, venue: str, slot: Slot, state: str = "current") -> VenueReader:
        """The venue, to read."""
        return self.actor(venue, slot, state)

    def actor(self, venue: str, slot: Slot, state: str = "current") -> VenueActor:
        """The venue, to act. One connection per account and state of the key."""
        name = f"{venue}/{slot}/{state}"
        if name not in self._venues:
            setting = self.profile.venues[venue]
            self._venues[name] = open_venue(setting.kind, setting.slot(slot), self.keys(venue, slot, state))
        return self._venues[name]

    def ways_down(self, venue: str, slot: Slot) -> list[VenueActor]:
        """What a way down may try in turn: with Interlock's own keys, and as the first host's bot opens the account.

        A kill or observer key that is missing or refused must not keep an order open. Raises InputError without any.
        """
        account, names = self.profile.venues[venue].slot(slot), self.profile.bot_keys(venue, slot)
        spare = bool(names and (account.kill or account.observer)) and self.secrets.has(next(iter(names.values())))
        try:
            found = [self.actor(venue, slot)]
        except InputError:
            if not spare:
                raise
            found = []
        if spare:
            bot, setting = self.credentials(venue, slot), self.profile.venues[venue]
            found.append(open_venue(setting.kind, account, Keys(bot, bot, bot)))
        return found

    def bot_reader(self, venue: str, slot: Slot, credentials: Credentials) -> VenueReader:
        """The account as one bot's key opens it: a connection of its own, for proofs about that key alone."""
        setting = self.profile.venues[venue]
        return open_venue(setting.kind, setting.slot(slot), Keys(credentials, credentials, credentials))

    def forget_keys(self) -> None:
        """After a key has changed: the next question opens a new connection."""
        self._venues.clear()

    def own_orders(self, venue: str, slot: Slot) -> tuple[str, ...]:
        """How the client ids of this system's own orders begin."""
        if not TRAITS[self.profile.venues[venue].kind].keeps_client_ids:
            names = self.profile.bot_keys(venue, slot).values()
            held = {self.secrets.credentials(name).part("key") for name in names if self.secrets.has(name)}
            return tuple(f"{key}:" for key in sorted(held))
        return tuple(host.order_prefix for host in self.profile.hosts.values())

    def order_name(self, venue: str, order: OrderView) -> str:
        """What people call an order: its client id; its own id where there is none, or where it would show a key."""
        kept = TRAITS[self.profile.venues[venue].kind].keeps_client_ids
        return (order.client_id if kept else "") or order.id

    def each_venue(self, work: Callable[[str], Answer]) -> dict[str, Answer]:
        """Venue -> what `work` returned for it, all venues at the same time; the only one in this very thread."""
        names = list(self.profile.venues)
        if len(names) == 1:
            return {names[0]: work(names[0])}
        with ThreadPoolExecutor(len(names)) as pool:
            return dict(zip(names, pool.map(work, names), strict=True))
