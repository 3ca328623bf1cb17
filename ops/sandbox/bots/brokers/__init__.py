"""Which class speaks to which venue; a client library is imported only when its venue is used."""

from __future__ import annotations

from importlib import import_module

from ..venue import Access, Venue

BROKERS = {
    "alpaca": ("alpaca", "AlpacaBroker"),
    "kraken": ("kraken", "KrakenBroker"),
    "kalshi": ("kalshi", "KalshiBroker"),
    "polymarket": ("polymarket", "PolymarketBroker"),
    "ibkr": ("ibkr", "IbkrBroker"),
}


def open_broker(kind: str, access: Access, timeout_seconds: float | None = None) -> Venue:
    """The door to one account, with the broker's own deadline or a shorter one for a stop in a hurry."""
    module, name = BROKERS[kind]
    broker = getattr(import_module(f".{module}", __name__), name)
    made: Venue = broker(access) if timeout_seconds is None else broker(access, timeout_seconds)
    return made
