"""Seed 004: an assistant on Interactive Brokers: API, MCP server, dashboard, approval tokens, risk policy."""
