"""The append-only, hash-chained record of everything Interlock did and saw. Standard library only: kill uses it too."""
