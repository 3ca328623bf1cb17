"""Seed 002: one application on two prediction markets, with `/api/trading/*` and five risk controls."""
