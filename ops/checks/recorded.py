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
    """Every key in the slot was taken in through rotation, tested at the venue, and is not too old."""
    slot, salt = params["slot"], sight.doors.secrets.salt()
    names = {name for venue in sight.profile.venues for name in sight.profile.bot_keys(venue, slot).values()}
    marks = sorted(sight.doors.secrets.credentials(name).fingerprint(salt) for name in names)
    tested = {k["fingerprint"]: k["at"] for k in sight.history.keys if k["slot"] == slot and k["state"] == "tested"}
    never = [mark for mark in marks if mark not in tested]
    if never:
        seen = f"{slot} key {', '.join(never)} was never rotated in"
        return sight.finding("act.key_rotate", False, seen, "a tested key", "invoke rotate-keys")
    if not marks:
        return sight.finding("act.key_rotate", True, "no venue of the system knows keys")
    oldest = min(utc_time(tested[mark]) for mark in marks)
    found = Finding("act.key_rotate", Outcome.PASS, f"{slot} key {', '.join(marks)} tested", oldest)
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
    if "release" in record and (releases != {record["release"]} or "None" in releases):
        return Finding(name, Outcome.STALE, "the release has changed since", sight.at, "", remedy)
    found = Finding(name, Outcome.PASS, record["seen"], utc_time(record["at"]))
    return found.aged(sight.at, timedelta(hours=sight.profile.evidence.drill_age_max_hours))
