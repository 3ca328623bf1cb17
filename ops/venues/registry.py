"""Which class speaks to which venue; the client library is imported only when the venue is used."""

from __future__ import annotations

from importlib import import_module

from ops.model.profile import Account, Kind
from ops.venues.protocol import Keys, VenueActor

ADAPTERS: dict[Kind, tuple[str, str]] = {
    "alpaca": ("ops.venues.alpaca", "Alpaca"),
    "kraken": ("ops.venues.kraken.adapter", "Kraken"),
    "kalshi": ("ops.venues.kalshi.adapter", "Kalshi"),
    "polymarket": ("ops.venues.polymarket.adapter", "Polymarket"),
    "ibkr": ("ops.venues.ibkr.adapter", "Ibkr"),
}


def open_venue(kind: Kind, account: Account, keys: Keys) -> VenueActor:
    """The actor for one account; hand it on as a VenueReader where only reading is meant."""
    module, name = ADAPTERS[kind]
    actor: VenueActor = getattr(import_module(module), name)(account.endpoint, account.account, keys)
    return actor
