"""What was done and recorded: drills, alert round trips, actions. Old evidence is stale, none is unknown."""

from __future__ import annotations

from datetime import timedelta

from ops.checks.sight import Params, Sight
from ops.model.canonical import utc_time
from ops.model.outcome import Finding, Outcome


def drill(sight: Sight, params: Params) -> Finding:
    """The newest recorded drill of this control, not older than the profile allows and on the release that runs now."""
    return _recorded(sight, f"drill/{params['control']}", "invoke drill")


def alert_roundtrip(sight: Sight, params: Params) -> Finding:
    """The newest alert that a person acknowledged."""
    return _recorded(sight, "drill/alert", "invoke drill")


def key_rotated(sight: Sight, params: Params) -> Finding:
    """The key in the slot was taken in through rotation, tested at the venue, and is not too old."""
    slot = params["slot"]
    mine = sight.doors.credentials(slot).fingerprint(sight.doors.secrets.salt())
    states = [k for k in sight.history.keys if k["slot"] == slot and k["fingerprint"] == mine]
    tested = [k for k in states if k["state"] == "tested"]
    if not tested:
        return sight.finding(
            "act.key_rotate",
            False,
            f"{slot} key {mine} was never rotated in",
            "a tested key",
            "invoke rotate-keys",
        )
    found = Finding("act.key_rotate", Outcome.PASS, f"{slot} key {mine} tested", utc_time(tested[-1]["at"]))
    return found.aged(sight.at, timedelta(days=sight.profile.evidence.key_age_max_days))


def action(sight: Sight, params: Params) -> Finding:
    """An action of a transition, as the newest transition that contained it left it in the ledger."""
    step = params["step"]
    verbs = params.get("verbs")
    for transition in reversed(list(sight.history.transitions.values())):
        if verbs and transition.verb not in verbs:
            continue
        if step in transition.done:
            return sight.finding("action", True, f"{step} done by {transition.verb} {transition.id}")
        if step in transition.intended:
            return sight.finding(
                "action", False, f"{step} was begun by {transition.verb} {transition.id} and not finished"
            )
    return Finding("action", Outcome.SKIPPED, "not yet: it belongs to a later phase", sight.at, step)


def _recorded(sight: Sight, name: str, remedy: str) -> Finding:
    record = sight.history.evidence.get(name)
    if record is None:
        return sight.finding(name, None, "never run", "a recorded drill", remedy)
    if record["outcome"] != "pass":
        return sight.finding(name, False, record["seen"], "pass", remedy)
    releases = {str(r.look.get("release_sha256")) for r in sight.replies.values()}
    if "release" in record and releases != {record["release"]}:
        return Finding(name, Outcome.STALE, "the release has changed since", sight.at, "", remedy)
    found = Finding(name, Outcome.PASS, record["seen"], utc_time(record["at"]))
    return found.aged(sight.at, timedelta(hours=sight.profile.evidence.drill_age_max_hours))
