"""Which class speaks to which venue; the client library is imported only when the venue is used."""

from __future__ import annotations

from ops.model.profile import Account, VenueSetting
from ops.secrets import Credentials
from ops.venues.protocol import VenueActor


def open_venue(venue: VenueSetting, account: Account, credentials: Credentials) -> VenueActor:
    """The actor for one account; hand it on as a VenueReader where only reading is meant."""
    from ops.venues.alpaca import Alpaca

    return {"alpaca": Alpaca}[venue.kind](account.endpoint, credentials)
