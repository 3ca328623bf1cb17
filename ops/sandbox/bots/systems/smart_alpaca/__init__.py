"""Seed 003: a server on Alpaca with `/api/system/*`, WebSocket updates, a job queue and stored decisions."""
