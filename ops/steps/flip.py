"""Flip: mode variables, credentials, endpoint and size in one rename per host, then a new process.

Undone by flip-paper.
"""

from __future__ import annotations

from ops.errors import InputError
from ops.hosts.fleet import Replies
from ops.model.step import Ended
from ops.steps.run import Run, host_problems


def flip(run: Run) -> Ended:
    """Towards what the plan says; a host whose env file is not the planned one refuses."""
    return _written(run, run.doors.fleet.flip(run.fence, _texts(run), run.planned_env))


def flip_paper(run: Run) -> Ended:
    """Towards paper, whatever stands there now."""
    return _written(run, run.doors.fleet.flip(run.fence, _texts(run), None, "rollback.yml"))


def put_key(run: Run) -> Ended:
    """The same mode with a new key."""
    return _written(run, run.doors.fleet.flip(run.fence, _texts(run), run.planned_env, "rotate_keys.yml"))


def restart(run: Run) -> Ended:
    """The same env file, read anew by a new process."""
    return _written(run, run.doors.fleet.restart(run.fence))


def _texts(run: Run) -> dict[str, str]:
    try:
        return run.doors.fleet.env_texts(run.slot_to, run.size_pct, run.doors.bot_credentials(run.slot_to))
    except ValueError as error:
        raise InputError(str(error), remedy="change the value in the profile or the secret store") from None


def _written(run: Run, replies: Replies) -> Ended:
    problems = host_problems(replies)
    digests = {host: (reply.look.get("env") or {}).get("sha256") for host, reply in replies.items()}
    pids = {host: (reply.look.get("process") or {}).get("pid") for host, reply in replies.items()}
    done = [host for host, reply in replies.items() if reply.ok]
    seen = f"{len(done)} of {len(replies)} hosts on {run.slot_to}"
    return Ended(seen, tuple(problems), {"env": digests, "pids": pids, "flipped": done})
