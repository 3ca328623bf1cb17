"""Seed 001: a bot on Kraken spot without any HTTP; it is read from `logs/system.log`."""
