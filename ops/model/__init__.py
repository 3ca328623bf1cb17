"""Frozen values: no files, no network, no clock."""
