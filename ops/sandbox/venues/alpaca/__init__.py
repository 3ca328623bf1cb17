"""Alpaca, simulated: a pure state machine (desk, matching, market) behind a listener per environment."""
