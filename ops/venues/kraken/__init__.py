"""Kraken spot, through ccxt."""
