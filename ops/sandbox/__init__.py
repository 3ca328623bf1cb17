"""The embedded sandbox: simulated venues and reference bots on loopback."""
