"""Polymarket's order book, through py-clob-client-v2."""
