"""The doors to the outside, opened for one system: what checks look through and steps act through.

Everything here is an instance of a class in one of the rooms of floor 1; a test opens other doors by passing others in.
"""

from __future__ import annotations

import secrets as random_source
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ops.hosts.fleet import Fleet
from ops.inventory import Environment, Person, Place
from ops.ledger.store import Ledger
from ops.model.profile import Profile, Slot
from ops.secrets import Credentials, Secrets
from ops.venues.protocol import VenueActor, VenueReader
from ops.venues.registry import open_venue


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

    def credentials(self, slot: Slot, state: str = "current") -> Credentials:
        """The key pair of a slot. Raises InputError if it is not there or not usable."""
        return self.secrets.credentials(self.profile.venue.slot(slot).credentials, state)

    def reader(self, slot: Slot, state: str = "current") -> VenueReader:
        """The venue, to read."""
        return self.actor(slot, state)

    def actor(self, slot: Slot, state: str = "current") -> VenueActor:
        """The venue, to act. One connection per slot and key."""
        name = f"{slot}/{state}"
        if name not in self._venues:
            account = self.profile.venue.slot(slot)
            self._venues[name] = open_venue(self.profile.venue, account, self.credentials(slot, state))
        return self._venues[name]
