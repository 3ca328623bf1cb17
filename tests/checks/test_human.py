"""What people wrote: it is there, dated, lately reviewed, whole, and no template any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ops.checklist import by_hand
from ops.checks.registry import ask
from ops.checks.sight import Sight
from ops.model.canonical import utc_text
from ops.model.history import History
from tests.checks.sights import NOW, outcome

PARAMS = {"id": "emergency_contacts", "max_age_d": 90}
GOOD = "# Emergency\nReviewed: 2026-11-01\n## Who to call\nThe desk\n## In what order\nTop down\n"


@pytest.fixture
def document(good: Sight) -> Iterator[Path]:
    path = good.doors.place.path(good.profile.documents["emergency_contacts"].path)
    yield path
    path.unlink(missing_ok=True)
    path.write_text(GOOD)


def test_a_document_that_was_reviewed_lately_passes(good: Sight) -> None:
    finding = ask("document", good, PARAMS)
    assert (outcome(finding), finding.seen) == ("pass", "emergency-contacts.md, reviewed 2026-11-01")


FLAWS = {
    "no date": (GOOD.replace("Reviewed: 2026-11-01\n", ""), "it has no line 'Reviewed: YYYY-MM-DD'"),
    "another form of date": (GOOD.replace("2026-11-01", "1 November 2026"), "it has no line"),
    "a date inside a line": (GOOD.replace("Reviewed:", "Last Reviewed:"), "it has no line"),
    "ninety-one days old": (GOOD.replace("2026-11-01", "2026-08-21"), "it was reviewed on 2026-08-21"),
    "reviewed tomorrow": (GOOD.replace("2026-11-01", "2026-11-21"), "it was reviewed on 2026-11-21"),
    "a heading is missing": (GOOD.replace("## Who to call", "Who to call"), "the heading 'Who to call' is missing"),
    "a heading with more to it": (GOOD.replace("## Who to call", "## Who to call not"), "the heading 'Who to call'"),
    "a placeholder in brackets": (GOOD.replace("The desk", "[YOUR EMAIL]"), "it still has a placeholder"),
    "a placeholder in words": (GOOD.replace("The desk", "your_email@example.com"), "it still has a placeholder"),
    "something to do": (GOOD.replace("The desk", "TODO"), "it still has a placeholder"),
    "empty": ("", "it has no line"),
}


@pytest.mark.parametrize(("text", "says"), FLAWS.values(), ids=FLAWS)
def test_a_document_with_a_flaw_fails_and_names_it(good: Sight, document: Path, text: str, says: str) -> None:
    document.write_text(text)
    finding = ask("document", good, PARAMS)
    assert (outcome(finding), says in finding.seen) == ("fail", True), finding.seen


def test_ninety_days_are_not_too_old(good: Sight, document: Path) -> None:
    document.write_text(GOOD.replace("2026-11-01", "2026-08-22"))
    assert outcome(ask("document", good, PARAMS)) == "pass"


@pytest.mark.parametrize("day", ["2026-13-01", "2026-02-30", "0000-00-00"])
def test_a_day_that_does_not_exist_proves_nothing(good: Sight, document: Path, day: str) -> None:
    document.write_text(GOOD.replace("2026-11-01", day))
    assert outcome(ask("document", good, PARAMS)) != "pass"


def test_a_document_that_is_not_there_fails_with_its_path(good: Sight, document: Path) -> None:
    document.unlink()
    finding = ask("document", good, PARAMS)
    assert (outcome(finding), finding.seen) == ("fail", f"{document} does not exist")


def test_a_document_that_the_profile_does_not_name_fails(good: Sight) -> None:
    assert outcome(ask("document", good, {"id": "disaster_recovery"})) == "fail"


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({}, "pass"),
        ({"role": "system_admin"}, "pass"),
        ({"role": "head_of_desk"}, "fail"),
        ({"role": "venue_support", "email": "support@alpaca.markets"}, "pass"),
        ({"role": "venue_support", "email": "help@alpaca.markets"}, "fail"),
    ],
)
def test_a_contact_is_there_under_its_role_and_address(good: Sight, params, wanted: str) -> None:
    assert outcome(ask("contacts", good, params)) == wanted


HAND = {
    "nobody": (None, "unknown"),
    "a while ago": ({"hours": 23}, "pass"),
    "a day ago": ({"hours": 25}, "stale"),
    "another list": ({"hours": 1, "list": "0" * 64}, "stale"),
}


@pytest.mark.parametrize(("record", "wanted"), HAND.values(), ids=HAND)
def test_what_is_seen_to_by_hand_stands_on_one_statement_of_today_over_this_very_list(good, record, wanted) -> None:
    past = History("alpaca-bot")
    if record is not None:
        at, mark = utc_text(NOW - timedelta(hours=record["hours"])), record.get("list", by_hand("alpaca-bot")[1])
        past.evidence["attestation/by-hand"] = {"person": "raj", "at": at, "list": mark}
    assert outcome(ask("by_hand", replace(good, history=past, _asked={}), {})) == wanted


REVIEWS = {
    "not live": ("paper", "8h", 0, "skipped"),
    "nobody": ("live", "8h", None, "unknown"),
    "in time": ("live", "8h", 7, "pass"),
    "too long ago": ("live", "8h", 9, "stale"),
    "before this stage": ("live", "7d", 40, "unknown"),
    "continuously": ("live", "continuous", 0.9, "pass"),
    "not continuously": ("live", "continuous", 1.1, "stale"),
    "a period of another form": ("live", "often", 0, "unknown"),
}


@pytest.mark.parametrize(("slot", "every", "hours", "wanted"), REVIEWS.values(), ids=REVIEWS)
def test_a_review_is_one_that_somebody_signed_in_this_stage_and_within_the_period(good, slot, every, hours, wanted):
    past = History("alpaca-bot", stage="live-1" if slot == "live" else "paper", since=utc_text(NOW - timedelta(days=1)))
    if hours is not None:
        past.evidence["attestation/review"] = {"person": "raj", "at": utc_text(NOW - timedelta(hours=hours))}
    assert outcome(ask("review", replace(good, history=past), {"every": every})) == wanted
