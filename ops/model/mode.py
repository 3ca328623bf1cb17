"""Mode and switch: what a bot is set to, and whether it may trade.

The words active, on, off, reset and activate are never used for the switch: seed 004 says ACTIVE for "may trade"
and activates to stop, seed 000 says OFF for "may trade". A profile maps each bot's own words to these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """The bot's own two-valued setting, as one reading of it shows."""

    PAPER = "paper"
    LIVE = "live"
    UNKNOWN = "unknown"


class Switch(StrEnum):
    """May the bot trade. Unknown counts neither as armed nor as proven halted."""

    ARMED = "armed"
    TRIPPED = "tripped"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ModeReading:
    """The three readings of one host: the env file, the running process, the bot's own API."""

    declared: Mode
    loaded: Mode
    observed: Mode

    @property
    def agreed(self) -> Mode:
        """The mode if all three readings agree, else unknown."""
        return agreed_mode((self.declared, self.loaded, self.observed))

    def __str__(self) -> str:
        return f"declared {self.declared}, loaded {self.loaded}, observed {self.observed}"


def agreed_mode(modes: Iterable[Mode]) -> Mode:
    """The one mode that all readings show; unknown if they differ or if there is none."""
    seen = set(modes)
    return seen.pop() if len(seen) == 1 else Mode.UNKNOWN


def agreed_switch(switches: Iterable[Switch]) -> Switch:
    """The one state that all switches show; unknown if they differ or if there is none."""
    seen = set(switches)
    return seen.pop() if len(seen) == 1 else Switch.UNKNOWN
