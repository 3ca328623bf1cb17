"""Interlock: takes a trading system from paper to live and back, and proves where it stands."""
