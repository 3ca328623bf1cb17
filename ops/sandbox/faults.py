"""Which faults of the world are switched on. Import this to list them: it needs no web framework."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ops.sandbox.channels.faults import FAULTS as CHANNEL_FAULTS
from ops.sandbox.monitoring.faults import FAULTS as MONITORING_FAULTS
from ops.sandbox.venues.alpaca.faults import FAULTS as ALPACA_FAULTS

ENVIRONMENTS = ("paper", "live")
EVERYWHERE = ""
CATALOGUE: dict[str, str] = {**ALPACA_FAULTS, **CHANNEL_FAULTS, **MONITORING_FAULTS}
PARAMETERS: dict[str, type | tuple[type, ...]] = {
    "times": int,
    "methods": list,
    "path_prefix": str,
    "lag_seconds": (int, float),
}
_PARAMETER_HELP = "known: times (whole number), methods (list), path_prefix (text), lag_seconds (number)"


@dataclass(slots=True)
class FaultBoard:
    """Switched-on faults, by (environment, name); channel and monitoring faults have no environment."""

    active: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def switch(self, environment: str, name: str, on: bool, parameters: dict[str, Any]) -> None:
        """Raises ValueError, with the remedy, for an unknown fault, environment or parameter."""
        if name not in CATALOGUE:
            raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(CATALOGUE))}")
        if name in ALPACA_FAULTS and environment not in ENVIRONMENTS:
            raise ValueError(f"fault {name!r} needs an environment: {' or '.join(ENVIRONMENTS)}")
        for known, value in parameters.items():
            if known not in PARAMETERS or not isinstance(value, PARAMETERS[known]):
                raise ValueError(f"fault parameter {known!r} is unknown or of a wrong type; {_PARAMETER_HELP}")
        key = (environment if name in ALPACA_FAULTS else EVERYWHERE, name)
        self.active.pop(key, None)
        if on:
            self.active[key] = dict(parameters)

    def is_on(self, name: str, environment: str = EVERYWHERE) -> bool:
        return (environment, name) in self.active

    def strikes(self, name: str, environment: str, method: str = "", path: str = "") -> bool:
        """Whether the fault hits this request; a fault limited by `times` counts the hit."""
        parameters = self.active.get((environment, name))
        if parameters is None or not path.startswith(parameters.get("path_prefix", "")):
            return False
        if method and method not in parameters.get("methods", [method]):
            return False
        if "times" in parameters:
            parameters["times"] -= 1
            if parameters["times"] <= 0:
                del self.active[(environment, name)]
        return True

    def catalogue(self) -> list[dict[str, Any]]:
        """Every fault with its text and where it is on, for GET /admin/faults."""
        return [
            {
                "fault": name,
                "text": line,
                "scope": "environment" if name in ALPACA_FAULTS else "world",
                "on": sorted(place or "world" for place, active in self.active if active == name),
            }
            for name, line in CATALOGUE.items()
        ]
