"""Rearm: the bot may trade again. The last step of a raise; undone by trip."""

from __future__ import annotations

from ops.errors import InputError, VenueError
from ops.hosts.fleet import Replies
from ops.hosts.reply import mode_reading, switch_state
from ops.model.mode import Mode, Switch
from ops.model.step import Ended
from ops.steps.run import Run, host_problems


def rearm(run: Run) -> Ended:
    """Lifts the venue's halt where there is one, then each host's, only if nobody tripped it anew since `trip`.

    What the hosts show afterwards must be the planned mode by all three readings, and armed.
    """
    unlifted = [text for text in run.doors.each_venue(lambda venue: _lift(run, venue)).values() if text]
    if unlifted:
        return Ended("venue halt unknown", tuple(unlifted))
    reasons = run.done["trip"]["reasons"]
    replies = run.doors.fleet.rearm(run.fence, run.transition, reasons)
    problems = host_problems(replies) + _unlike_planned(run, replies)
    states = {host: switch_state(reply.look, run.doors.profile) for host, reply in replies.items()}
    problems += [f"{h}: the switch is {s}" for h, s in states.items() if s is not Switch.ARMED and replies[h].ok]
    armed = sum(state is Switch.ARMED for state in states.values())
    return Ended(f"{armed} of {len(states)} hosts armed", tuple(problems))


def _unlike_planned(run: Run, replies: Replies) -> list[str]:
    """The mode that each host shows now that it may trade: a bot that started only behind the lifted gate has loaded
    its settings just now, and its own word is heard for the first time."""
    readings = {h: mode_reading(reply.look, run.doors.profile) for h, reply in replies.items() if reply.ok}
    return [f"{h}: {reading}" for h, reading in readings.items() if reading.agreed is not Mode(run.slot_to)]


def _lift(run: Run, venue: str) -> str:
    """The venue's own halt, if it has one and it is set: lifted. Empty, or why that could not be done."""
    try:
        actor = run.doors.actor(venue, run.slot_to)
        if actor.latches and actor.account().suspended:
            actor.set_suspended(False)
    except (VenueError, InputError) as error:
        return f"{run.doors.account_name(venue, run.slot_to)}: the venue's own halt could not be lifted: {error}"
    return ""
