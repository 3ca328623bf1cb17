"""Kalshi as a simulated venue: event contracts in dollars between 0 and 1, a demo and a live exchange."""
