"""Simulated alert channels, with an on-call person who acknowledges what arrives."""
