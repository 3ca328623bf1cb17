"""Which faults of the world are switched on. Import this to list them: it needs no web framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.sandbox.channels.faults import FAULTS as CHANNEL_FAULTS
from ops.sandbox.monitoring.faults import FAULTS as MONITORING_FAULTS

ENVIRONMENTS = ("paper", "live")
EVERYWHERE = ""
WORLD_FAULTS: dict[str, str] = {**CHANNEL_FAULTS, **MONITORING_FAULTS}
"""The faults of channels and monitoring: they have no environment."""
PARAMETERS: dict[str, type | tuple[type, ...]] = {
    "times": int,
    "methods": list,
    "path_prefix": str,
    "lag_seconds": (int, float),
}
_PARAMETER_HELP = "known: times (whole number), methods (list), path_prefix (text), lag_seconds (number)"


@dataclass(slots=True)
class FaultBoard:
    """The switched-on faults of one catalogue (name -> one line), by (environment, name).

    `environments` is empty for a board whose faults have none.
    """

    known: Mapping[str, str]
    environments: tuple[str, ...] = ENVIRONMENTS
    active: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def switch(self, environment: str, name: str, on: bool, parameters: dict[str, Any]) -> None:
        """Raises ValueError, with the remedy, for an unknown fault, environment or parameter."""
        if name not in self.known:
            raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(self.known))}")
        if self.environments and environment not in self.environments:
            raise ValueError(f"fault {name!r} needs an environment: {' or '.join(self.environments)}")
        for given, value in parameters.items():
            if given not in PARAMETERS or not isinstance(value, PARAMETERS[given]):
                raise ValueError(f"fault parameter {given!r} is unknown or of a wrong type; {_PARAMETER_HELP}")
        key = (environment if self.environments else EVERYWHERE, name)
        self.active.pop(key, None)
        if on:
            self.active[key] = dict(parameters)

    def is_on(self, name: str, environment: str = EVERYWHERE) -> bool:
        return (environment, name) in self.active

    def strikes(self, name: str, environment: str, method: str = "", path: str = "") -> bool:
        """Whether the fault hits this request; counts down `times` and switches itself off at zero."""
        parameters = self.active.get((environment, name))
        if parameters is None or not path.startswith(parameters.get("path_prefix", "")):
            return False
        if method and method not in parameters.get("methods", (method,)):
            return False
        if "times" in parameters:
            parameters["times"] -= 1
            if parameters["times"] <= 0:
                del self.active[(environment, name)]
        return True

    def saved(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What is on, as JSON can hold it."""
        return [(place, name, given) for (place, name), given in self.active.items()]

    def restore(self, saved: list[tuple[str, str, dict[str, Any]]]) -> None:
        """Switches on what `saved` was told of by an earlier run; a fault that is no longer known is left out."""
        for environment, name, parameters in saved:
            if name in self.known:
                self.switch(environment, name, True, parameters)

    def catalogue(self) -> list[dict[str, Any]]:
        """Every fault with its text and where it is on, for GET /admin/faults."""
        return [
            {
                "fault": name,
                "text": line,
                "on": sorted(place or "world" for place, active in self.active if active == name),
            }
            for name, line in self.known.items()
        ]
