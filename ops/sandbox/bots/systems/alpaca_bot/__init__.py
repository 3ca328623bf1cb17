"""Seed 000: a bot worker on Alpaca with an HTTP kill switch, whose word OFF means that it may trade."""
