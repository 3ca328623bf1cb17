"""Alpaca as the world hosts it: the venue, and a listener for each environment."""

from __future__ import annotations

from collections.abc import Mapping

from ops.sandbox.venues.alpaca.exchange import Exchange
from ops.sandbox.venues.alpaca.http import AlpacaListener
from ops.sandbox.venues.venue import ENVIRONMENTS, Listener


class SimulatedAlpaca(Exchange):
    """The simulated venue (`SimulatedVenue`)."""

    def listeners(self) -> Mapping[str, Listener]:
        """The paper and the live API."""
        return {name: Listener(app=AlpacaListener(self, name, self.opening.request)) for name in ENVIRONMENTS}
