"""Kalshi, through a signed client of our own: its published libraries speak a dead version."""
