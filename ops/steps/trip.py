"""Trip: no bot of the system may trade. Undone by rearm only."""

from __future__ import annotations

from ops.hosts.reply import Reply, switch_reason, switch_state
from ops.model.mode import Switch
from ops.model.step import Ended
from ops.steps.run import Run, host_problems


def trip(run: Run) -> Ended:
    """Fence, gate and the bot's own switch on every host in one round trip; a bot that does not confirm is stopped.

    Tried once more if any host that answers is not proven tripped; the dark ones have been asked again by then.
    """
    replies = run.doors.fleet.trip(run.fence, run.transition)
    if any(_unproven(run, host, reply) for host, reply in replies.items() if reply.reached):
        replies = run.doors.fleet.trip(run.fence, run.transition)
    profile = run.doors.profile
    problems = host_problems(replies)
    problems += [text for host, reply in replies.items() if reply.reached for text in _unproven(run, host, reply)]
    states = {host: switch_state(reply.look, profile) for host, reply in replies.items()}
    reasons = {host: switch_reason(reply.look, profile) for host, reply in replies.items()}
    tripped = sum(state is Switch.TRIPPED for state in states.values())
    return Ended(f"{tripped} of {len(states)} hosts tripped", tuple(problems), {"reasons": reasons})


def _unproven(run: Run, host: str, reply: Reply) -> list[str]:
    """What an answer does not show: the bot tripped, and the gate that this trip set."""
    state, gate = switch_state(reply.look, run.doors.profile), reply.done.get("gate")
    found = [] if state is Switch.TRIPPED else [f"{host}: the switch is {state}"]
    return found if gate == "set" else [*found, f"{host}: gate {gate}"]
