"""What people have written and signed."""

from __future__ import annotations

import re
from datetime import date, timedelta

from ops.checklist import by_hand as by_hand_entries
from ops.checks.sight import Params, Sight
from ops.model.canonical import utc_time
from ops.model.outcome import Finding, Outcome
from ops.yaml_source import PLACEHOLDER

BY_HAND_MAX = timedelta(hours=24)
REVIEW = "review"
# Nobody signs all the time: one who watches continuously says so once an hour.
CONTINUOUS = timedelta(hours=1)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_REVIEWED = re.compile(r"^Reviewed: (\d{4}-\d{2}-\d{2})$", re.MULTILINE)


def document(sight: Sight, params: Params) -> Finding:
    """The document is there, dated, reviewed lately, has its headings and no placeholder."""
    setting = sight.profile.documents.get(params["id"])
    if setting is None:
        return sight.finding("document", False, f"the profile names no document {params['id']}", params["id"])
    path = sight.doors.place.path(setting.path)
    if not path.is_file():
        return sight.finding("document", False, f"{path} does not exist", params["id"], "write it")
    text = path.read_text(encoding="utf-8", errors="replace")
    found = _REVIEWED.search(text)
    problems = [] if found else ["it has no line 'Reviewed: YYYY-MM-DD'"]
    age_max = int(params.get("max_age_d", 90))
    today = sight.at.date()
    if found and not timedelta(0) <= today - date.fromisoformat(found[1]) <= timedelta(days=age_max):
        problems.append(f"it was reviewed on {found[1]}")
    problems += [
        f"the heading {h!r} is missing" for h in setting.headings if not re.search(rf"^#+ {re.escape(h)}$", text, re.M)
    ]
    problems += ["it still has a placeholder"] if PLACEHOLDER.search(text) else []
    seen = "; ".join(problems) or f"{path.name}, reviewed {found[1] if found else ''}"
    return sight.finding("document", not problems, seen, f"reviewed within {age_max} days")


def contacts(sight: Sight, params: Params) -> Finding:
    """The named role or roles, else whoever the profile names and that is somebody, can be reached."""
    named = [params["role"]] if "role" in params else params.get("roles", ())
    roles = list(named or sight.profile.contacts) or ["anybody"]
    missing = [role for role in roles if role not in sight.profile.contacts]
    wrong = [
        r
        for r in roles
        if "email" in params and r not in missing and sight.profile.contacts[r].email != params["email"]
    ]
    seen = (
        f"missing: {', '.join(missing + wrong)}"
        if missing or wrong
        else ", ".join(sight.profile.contacts[r].email for r in roles)
    )
    return sight.finding("contacts", not missing and not wrong, seen, params.get("email", ", ".join(roles)))


def attestation(sight: Sight, params: Params) -> Finding:
    """A signed statement of the right role, in date."""
    name = f"attestation/{params['evidence']}"
    record = sight.history.evidence.get(name)
    remedy = f"invoke checklist.attest --evidence={params['evidence']}"
    if record is None:
        return sight.finding("attestation", None, "nobody has attested it", f"signed by {params['role']}", remedy)
    found = Finding(
        "attestation", Outcome.PASS, f"attested by {record['person']}", utc_time(record["at"]), params["role"]
    )
    return found.aged(sight.at, timedelta(hours=int(params.get("max_age_h", 24))))


def by_hand(sight: Sight, params: Params) -> Finding:
    """One signed statement for all entries that Interlock cannot check yet; stale after a day or with another list."""
    found: Finding = sight.once("by-hand", lambda: _by_hand(sight))
    return found


def _by_hand(sight: Sight) -> Finding:
    record, (ids, mark) = sight.history.evidence.get("attestation/by-hand"), by_hand_entries(sight.profile.checklist)
    remedy = "invoke checklist.attest --evidence=by-hand"
    if record is None:
        return sight.finding("by_hand", None, f"nobody has attested these {len(ids)}", "signed by operator", remedy)
    at = utc_time(record["at"])
    if record.get("list") != mark:
        return Finding("by_hand", Outcome.STALE, "the list has changed since it was attested", at, remedy=remedy)
    seen = f"one of {len(ids)} attested together by {record['person']}"
    return Finding("by_hand", Outcome.PASS, seen, at, "operator").aged(sight.at, BY_HAND_MAX)


def review(sight: Sight, params: Params) -> Finding:
    """Somebody signed that they looked the live stage over, in this stage and not longer ago than the period."""
    every, stage = str(params["every"]), sight.history.stage
    if not sight.history.live:
        return Finding("review", Outcome.SKIPPED, f"not live: then due {every}", sight.at, every)
    record, remedy = sight.history.evidence.get(f"attestation/{REVIEW}"), f"invoke checklist.attest --evidence={REVIEW}"
    watch = f"{stage} is to be watched {sight.profile.stage(stage).watch}"
    if record is None or utc_time(record["at"]) < utc_time(sight.history.since):
        return sight.finding(
            "review", None, f"no review of this stage is recorded, due {every}; {watch}", every, remedy
        )
    found = Finding("review", Outcome.PASS, f"reviewed by {record['person']}; {watch}", utc_time(record["at"]), every)
    return found.aged(sight.at, review_period(every))


def review_period(every: str) -> timedelta:
    """How long one review counts: `8h`, `7d`. Raises LookupError or ValueError for another form."""
    return CONTINUOUS if every == "continuous" else timedelta(**{_UNITS[every[-1]]: int(every[:-1])})
