"""Which class simulates which venue; a world imports only those that it has."""

from __future__ import annotations

from importlib import import_module

from ops.sandbox.venues.venue import Opening, SimulatedVenue

SIMULATORS = {
    "alpaca": ("ops.sandbox.venues.alpaca.simulated", "SimulatedAlpaca"),
    "kraken": ("ops.sandbox.venues.kraken.simulated", "SimulatedKraken"),
    "kalshi": ("ops.sandbox.venues.kalshi.simulated", "SimulatedKalshi"),
    "polymarket": ("ops.sandbox.venues.polymarket.simulated", "SimulatedPolymarket"),
    "ibkr": ("ops.sandbox.venues.ibkr.simulated", "SimulatedIbkr"),
}


def open_simulator(kind: str, opening: Opening) -> SimulatedVenue:
    """A venue as it stood when it was closed, or new. Raises KeyError for an unknown kind."""
    module, name = SIMULATORS[kind]
    venue: SimulatedVenue = getattr(import_module(module), name)(opening)
    return venue
