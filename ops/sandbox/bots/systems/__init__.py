"""The five bots. Each folder is one: what it is told, what it shows, and what only it does."""
