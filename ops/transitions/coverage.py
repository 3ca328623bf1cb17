"""Which requirements of a checklist have an answer that really exists in the code: a check, a move, a drill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.checklist import Entry, load_checklist
from ops.checks.registry import CHECKS
from ops.model.profile import Profile
from ops.transitions.paths import PATHS

# Promotion comes with the ramp; its flip is the same move.
VERBS_TO_COME = {"promote": "go-live"}


def covered(profile: Profile) -> tuple[int, list[str]]:
    """(how many entries, the ids of those that nothing answers but a person who sees to it by hand)."""
    entries = load_checklist(profile.checklist)
    return len(entries), [entry.id for entry in entries if not _answered(entry, profile)]


def _answered(entry: Entry, profile: Profile) -> bool:
    return (
        entry.answer != "by_hand"
        and bool(entry.probes)
        and all(_probe_exists(probe, profile) for probe in entry.probes)
    )


def _probe_exists(probe: Mapping[str, Any], profile: Profile) -> bool:
    kind = str(probe.get("type"))
    if kind not in CHECKS:
        return False
    if kind == "action":
        verbs = [VERBS_TO_COME.get(verb, verb) for verb in probe["verbs"]]
        known = "variable" not in probe or probe["variable"] in profile.mode.variables
        return known and all(
            verb in PATHS and probe["step"] in {move.name for move in PATHS[verb][1]} for verb in verbs
        )
    if kind == "drill":
        return probe["control"] in profile.drills
    if kind == "document":
        return probe["id"] in profile.documents
    if kind == "contacts" and "role" in probe:
        return probe["role"] in profile.contacts
    if kind == "env_var":
        own = set.intersection(*(set(host.variables) for host in profile.hosts.values()))
        return probe["name"] in {*profile.mode.variables, *own}
    if kind.startswith("venue."):
        named = probe.get("venues") or probe.get("venue") or []
        return ({named} if isinstance(named, str) else set(named)) <= set(profile.venues)
    return True
