"""Kraken spot, simulated: signatures, nonces and permissions verified, orders matched, faults to switch."""
