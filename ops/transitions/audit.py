"""The health audit: what must hold while a system runs at its present stage."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ops.checks.sight import Sight
from ops.doors import Doors
from ops.model.canonical import utc_time
from ops.model.outcome import Outcome
from ops.transitions.drills import due, run_drills
from ops.transitions.preflight import Answered, Report, answered, house, look
from ops.transitions.progress import Silent

# What a first day must show needs trades to show it; until they can be there, not knowing is not a fault.
FIRST_HOUR = timedelta(hours=1)


def audit(doors: Doors) -> Report:
    """House rules, then the stage's requirements; a dry rehearsal of the kill switch is run when it is due."""
    sight = look(doors, "health_audit.yml")
    phases = ("first_hour", "daily") if sight.history.live else ("daily",)
    names = due(sight, phases)
    if names:
        run_drills(doors, Silent(), names)
        sight = look(doors, "health_audit.yml")
    first = tuple(_not_yet(sight, answer) for answer in answered(sight, phases[:-1]))
    return Report(sight, (*house(sight), *first, *answered(sight, phases[-1:])))


def _not_yet(sight: Sight, answer: Answered) -> Answered:
    """In the first hour an unknown does not shut the gate; a fail always does."""
    young = sight.at - utc_time(sight.history.since) < FIRST_HOUR
    return replace(answer, blocking=False) if young and answer.outcome is Outcome.UNKNOWN else answer
