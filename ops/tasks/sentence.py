"""The one sentence that says where things stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.doors import Doors
    from ops.transitions.approval import Raised


def standing(doors: Doors, raised: Raised) -> str:
    """Where a system stands after something was raised, in at most ten seconds of reading."""
    from ops.transitions.preflight import current_history

    profile, history = doors.profile, current_history(doors)
    if raised.stage == "paper":
        where = f"{profile.system} is armed on PAPER on {len(profile.hosts)} hosts"
        return f"{where}{', nothing to do' if raised.nothing_to_do else ''}. Next: invoke status | invoke go-live"
    size = profile.stage(raised.stage).size_pct
    hosts, since = len(profile.hosts), history.since[11:19]
    where = f"{profile.system} is LIVE at stage {raised.stage} ({size} % size) on {hosts} hosts since {since}Z"
    if raised.nothing_to_do:
        return f"{where}, plan {raised.plan[:6]}: nothing to do. Next: invoke status | invoke rollback"
    signed = " and ".join(f"{person} ({role})" for person, role in raised.signers.items())
    counts = raised.counts
    checks = f"{counts['passed']} checks passed, {counts['attested']} attested, {counts['waived']} waived"
    return f"{where}, plan {raised.plan[:6]}, signed by {signed}; {checks}. Next: invoke status | invoke rollback"
