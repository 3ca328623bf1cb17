"""The hosts' own deadline: armed before the flip, so that a host whose controller dies goes back alone.

Undone by disarm.
"""

from __future__ import annotations

from ops.hosts.fleet import Replies
from ops.model.step import Ended
from ops.steps.run import Run, host_problems


def arm(run: Run) -> Ended:
    """From now on each host goes back to its present env file, tripped, unless the commit reaches it in time."""
    replies = run.doors.fleet.arm(run.fence, run.doors.profile.host_deadline_seconds)
    problems = host_problems(replies)
    problems += [f"{h}: shows no deadline" for h, r in replies.items() if r.reached and not r.look.get("deadline")]
    until = max((str(r.done.get("until", "")) for r in replies.values()), default="")
    return Ended(f"hosts go back by themselves at {until[11:19]}Z", tuple(problems), {"until": until})


def disarm(run: Run) -> Ended:
    """The commit: the hosts keep what they have."""
    return _disarmed(run.doors.fleet.disarm(run.fence))


def disarm_all(run: Run) -> Ended:
    """On the way down: every host that is on paper already. What else may save one that could not be flipped?"""
    flipped = list((run.done.get("flip-paper") or {}).get("flipped") or ())
    ended = _disarmed(run.doors.fleet.disarm_on_paper(run.fence, flipped))
    left = [f"{h}: keeps its own deadline, if it has one" for h in run.doors.profile.hosts if h not in flipped]
    return Ended(ended.seen, (*ended.problems, *left))


def _disarmed(replies: Replies) -> Ended:
    problems = host_problems(replies)
    problems += [f"{h}: still has a deadline" for h, r in replies.items() if r.reached and r.look.get("deadline")]
    return Ended(f"{sum(reply.ok for reply in replies.values())} deadlines lifted", tuple(problems))
