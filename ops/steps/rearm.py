"""Rearm: the bot may trade again. The last step of a raise; undone by trip."""

from __future__ import annotations

from ops.errors import VenueError
from ops.hosts.reply import switch_state
from ops.model.mode import Switch
from ops.model.step import Ended
from ops.steps.run import Run, host_problems


def rearm(run: Run) -> Ended:
    """Lifts the venue's halt where there is one, then each host's, only if nobody tripped it anew since `trip`."""
    try:
        actor = run.doors.actor(run.slot_to)
        if actor.account().suspended:
            actor.set_suspended(False)
    except VenueError as error:
        return Ended("venue halt unknown", (f"the venue's own halt could not be lifted: {error}",))
    reasons = run.done["trip"]["reasons"]
    replies = run.doors.fleet.rearm(run.fence, run.transition, reasons)
    problems = host_problems(replies)
    states = {host: switch_state(reply.look, run.doors.profile) for host, reply in replies.items()}
    problems += [f"{h}: the switch is {s}" for h, s in states.items() if s is not Switch.ARMED and replies[h].ok]
    armed = sum(state is Switch.ARMED for state in states.values())
    return Ended(f"{armed} of {len(states)} hosts armed", tuple(problems))
