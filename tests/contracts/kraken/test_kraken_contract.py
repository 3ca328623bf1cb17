"""The contract's clauses, C01 to C16, as Kraken's adapter keeps them."""

from __future__ import annotations

from tests.contracts.clauses import VenueContract


class TestKraken(VenueContract):
    """Every clause as it stands."""
