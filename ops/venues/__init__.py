"""The doors to the venues. Checks get a reader, steps get an actor: the type checker keeps reads read-only."""
