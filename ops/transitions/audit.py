"""The health audit: what must hold while a system runs at its present stage."""

from __future__ import annotations

from ops.doors import Doors
from ops.transitions.drills import due, run_drills
from ops.transitions.preflight import Report, answered, house, look
from ops.transitions.progress import Silent

# On paper the first-day questions have no meaning yet.
PHASES = {"paper": ("daily",), "live": ("first_hour", "daily")}


def audit(doors: Doors) -> Report:
    """House rules, then the phase's requirements; a dry rehearsal of the kill switch is run when it is due."""
    sight = look(doors, "health_audit.yml")
    phases = PHASES[sight.slot]
    names = due(sight, phases)
    if names:
        run_drills(doors, Silent(), names)
        sight = look(doors, "health_audit.yml")
    return Report(sight, (*house(sight, sight.slot), *answered(sight, phases)))
