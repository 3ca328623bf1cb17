"""How one step of a transition ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ended:
    """What was seen afterwards. A step without problems is proven; each problem names what could not be shown."""

    seen: str
    problems: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def proven(self) -> bool:
        """Nothing is left to doubt."""
        return not self.problems
