"""What the venue says when it refuses: an E-string, always under HTTP 200."""

from __future__ import annotations


class Refusal(Exception):
    """A request that the venue turns down; `error` is Kraken's own string, such as `EOrder:Insufficient funds`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


def invalid(argument: str) -> Refusal:
    return Refusal(f"EGeneral:Invalid arguments:{argument}")
