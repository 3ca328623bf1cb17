"""Trip: no bot of the system may trade. Undone by rearm only."""

from __future__ import annotations

from ops.hosts.reply import switch_reason, switch_state
from ops.model.mode import Switch
from ops.model.step import Ended
from ops.steps.run import Run, host_problems


def trip(run: Run) -> Ended:
    """Fence, gate and the bot's own switch on every host in one round trip; a bot that does not confirm is stopped.

    Tried once more if any host is not proven tripped: a lost request must not leave one of them trading.
    """
    ended = _once(run)
    return ended if ended.proven else _once(run)


def _once(run: Run) -> Ended:
    profile = run.doors.profile
    replies = run.doors.fleet.trip(run.fence, run.transition)
    problems = host_problems(replies)
    states = {host: switch_state(reply.look, profile) for host, reply in replies.items()}
    problems += [f"{h}: the switch is {s}" for h, s in states.items() if s is not Switch.TRIPPED and replies[h].reached]
    problems += [
        f"{h}: gate {r.done.get('gate')}" for h, r in replies.items() if r.reached and r.done.get("gate") != "set"
    ]
    reasons = {host: switch_reason(reply.look, profile) for host, reply in replies.items()}
    tripped = sum(state is Switch.TRIPPED for state in states.values())
    return Ended(f"{tripped} of {len(states)} hosts tripped", tuple(problems), {"reasons": reasons})
