"""Makes plans, finds them again, and says whether the world is still the one that was planned for."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from ops.checklist import FOLDER
from ops.checks.fleet import facts
from ops.checks.sight import Sight
from ops.doors import Doors
from ops.errors import InputError
from ops.hosts.ansible import PLAYBOOKS
from ops.hosts.reply import switch_reason, switch_state
from ops.inventory import profile_path
from ops.model.canonical import digest
from ops.model.history import History
from ops.model.mode import Switch
from ops.model.plan import Plan
from ops.model.profile import Profile, Slot
from ops.secrets import Credentials
from ops.transitions.preflight import Report


def make_plan(doors: Doors, verb: str, stage_to: str, report: Report) -> Plan:
    """The plan of one transition, from one sight; written to the ledger. Raises InputError if keys are missing."""
    sight, profile = report.sight, doors.profile
    slot: Slot = "live" if stage_to.startswith("live") else "paper"
    size = profile.stage(stage_to).size_pct if slot == "live" else 100
    seq, head = doors.ledger.head()
    now = doors.clock()
    plan = Plan(
        verb=verb,
        system=profile.system,
        environment=doors.place.name,
        requester=doors.requester,
        stage_from=sight.history.stage,
        stage_to=stage_to,
        accounts=account_texts(doors, slot),
        size_pct=size,
        changes=_changes(doors, sight, slot, size),
        limits=_limits(doors),
        hosts=_env_digests(sight),
        services=tuple(f"{name} on {host}" for host in sorted(profile.hosts) for name in _services(profile)),
        inputs=input_digests(doors, sight),
        findings=report.counts,
        findings_digest=report.digest,
        switch_reason=", ".join(sorted(_halt_reasons(sight))),
        ledger_seq=seq,
        ledger_hash=head,
        commit=commit(),
        nonce=doors.new_id(),
        made_at=now,
        expires_at=now + timedelta(minutes=profile.sign_off.valid_minutes),
        fleet=_shown(sight),
    )
    doors.ledger.append(
        "plan.made", {"system": profile.system, "plan": plan.id, "verb": verb, "document": plan.as_dict()}
    )
    return plan


def _halt_reasons(sight: Sight) -> set[str]:
    """Why the bots that are tripped say that they are."""
    looks = [reply.look for reply in sight.replies.values()]
    tripped = [look for look in looks if switch_state(look, sight.profile) is Switch.TRIPPED]
    return {switch_reason(look, sight.profile) for look in tripped} - {""}


def _services(profile: Profile) -> tuple[str, ...]:
    return (profile.service.name, *profile.service.also)


def account_texts(doors: Doors, slot: Slot) -> dict[str, str]:
    """Venue -> account, address and the fingerprints of the bots' keys. Raises InputError for a key that is missing."""
    salt, found = doors.secrets.salt(), {}
    for venue, setting in doors.profile.venues.items():
        names = doors.profile.bot_keys(venue, slot).values()
        marks = dict.fromkeys(doors.secrets.credentials(name).fingerprint(salt) for name in names)
        account = setting.slot(slot)
        found[venue] = f"{account.account} at {account.endpoint}, key {', '.join(marks) or 'none'}"
    return found


def _changes(doors: Doors, sight: Sight, slot: Slot, size: int) -> dict[str, tuple[str, str]]:
    """What differs after the transition, by variable; secrets by fingerprint. Where hosts differ, each is named."""
    planned, common = doors.bot_credentials(slot), doors.fleet.plain_values(slot, size)
    changes: dict[str, tuple[str, str]] = {}
    for host, reply in sight.replies.items():
        env = reply.look.get("env") or {}
        now, prints = env.get("variables") or {}, env.get("fingerprints") or {}
        mine = {name: (str(now.get(name)), value) for name, value in common.items() if now.get(name) != value}
        keys = _key_marks(doors, planned[host])
        mine |= {name: (f"key {prints.get(name)}", f"key {mark}") for name, mark in keys.items()
                 if prints.get(name) != mark}  # fmt: skip
        for name, pair in mine.items():
            changes[name if changes.get(name, pair) == pair else f"{name} on {host}"] = pair
    return changes


def _key_marks(doors: Doors, credentials: Mapping[str, Credentials]) -> dict[str, str]:
    """Secret variable -> the fingerprint of what it will hold."""
    salt, venues = doors.secrets.salt(), doors.profile.venues
    return {
        variable: held.fingerprint(salt, part)
        for venue, held in credentials.items()
        for variable, part in venues[venue].variables.secrets.items()
    }


def _limits(doors: Doors) -> dict[str, str]:
    limits = doors.profile.limits
    wired = {name: format(limit.value, "f") for name, limit in limits.wired().items()}
    return {**wired, "instruments_max": str(limits.instruments_max), "venues_max": str(limits.venues_max)}


def _env_digests(sight: Sight) -> dict[str, str]:
    return {host: str((reply.look.get("env") or {}).get("sha256") or "") for host, reply in sight.replies.items()}


def _shown(sight: Sight) -> dict[str, str]:
    """What each host shows, in a line. Nothing in it changes by itself: the clock's offset is judged, not signed."""
    rows = {host: facts(reply.look, sight.profile) for host, reply in sight.replies.items()}
    return {host: "; ".join(f"{name}: {value}" for name, value in row.items()) for host, row in rows.items()}


def input_digests(doors: Doors, sight: Sight) -> dict[str, str]:
    """Every file and release that decides what the transition does."""
    files = {
        "profile": profile_path(doors.place, doors.profile.system),
        "people": doors.place.inventory / "people.yml",
        "hosts": doors.place.inventory / "hosts.yml",
        "allowed-signers": Path(doors.environment.allowed_signers),
        "checklist": FOLDER / f"{doors.profile.checklist}.yml",
        "host-program": PLAYBOOKS / "library" / "interlock_host.py",
    }
    found = {name: digest(path.read_text()) if path.is_file() else "none" for name, path in files.items()}
    return found | {f"release-{host}": str(r.look.get("release_sha256")) for host, r in sight.replies.items()}


def stale_reasons(doors: Doors, plan: Plan, report: Report, history: History) -> list[str]:
    """What has changed since the plan was made; empty if nothing that matters has."""
    sight = report.sight
    reasons = [] if doors.clock() < plan.expires_at else ["it has expired"]
    reasons += [] if plan.stage_from == history.stage else [f"the system is at {history.stage} now"]
    reasons += _differences("input", plan.inputs, input_digests(doors, sight))
    reasons += _differences("env file on", plan.hosts, _env_digests(sight))
    reasons += _differences("what is shown by", plan.fleet, _shown(sight))
    slot: Slot = "live" if plan.stage_to.startswith("live") else "paper"
    reasons += ["the account or the key is another one"] if account_texts(doors, slot) != plan.accounts else []
    if doors.ledger.hash_at(plan.ledger_seq) != plan.ledger_hash:
        reasons.append("the ledger is not the one that the plan was made on")
    ended = [t for t in history.transitions.values() if t.closed_at > plan.as_dict()["made_at"]]
    reasons += [f"{t.verb} {t.id} has run since" for t in ended]
    killed = [row for row in history.kills if row["at"] > plan.as_dict()["made_at"]]
    reasons += [f"killed since, for: {row.get('reason') or 'no reason'}" for row in killed]
    reasons += ["it was used already"] if plan.id in history.used_plans else []
    reasons += [f"{a.id} {a.outcome}: {a.findings[0].seen}" for a in report.shut]
    return reasons


def _differences(what: str, planned: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [f"{what} {name} has changed" for name in sorted({*planned, *now}) if planned.get(name) != now.get(name)]


def pending_plan(doors: Doors, verb: str, history: History) -> Plan | None:
    """The newest plan of that verb that is neither used nor expired."""
    found = [plan for plan in _waiting_plans(doors, history) if plan.verb == verb]
    # Somebody else's plan that nobody has signed yet stands in nobody's way: who asks anew gets a plan of their own.
    mine = [p for p in found if p.requester == doors.requester or history.signatures.get(p.id)]
    return mine[-1] if mine else None


def _waiting_plans(doors: Doors, history: History) -> list[Plan]:
    """Every plan that is neither used nor expired, oldest first."""
    rows = [row for plan_id, row in history.plans.items() if plan_id not in history.used_plans]
    plans = [Plan.from_dict(row["document"]) for row in rows]
    return [plan for plan in plans if plan.expires_at > doors.clock()]


def newest_plan(doors: Doors, history: History) -> Plan:
    """The newest plan of any verb that is neither used nor expired. Raises InputError if there is none."""
    found = _waiting_plans(doors, history)
    if found:
        return found[-1]
    raise InputError("there is no plan to sign", remedy="invoke plan makes one")


def find_plan(given: str, history: History) -> Plan:
    """The plan with that id (or the beginning of it). Raises InputError if there is not exactly one."""
    found = [row for plan_id, row in history.plans.items() if given and plan_id.startswith(given)]
    if len(found) != 1:
        raise InputError(
            f"{len(found)} plans match {given!r}", expected=f"one of: {', '.join(history.plans) or 'there is none'}",
            remedy="invoke plan makes one",
        )  # fmt: skip
    plan = Plan.from_dict(found[0]["document"])
    if plan.id != found[0]["plan"]:
        raise InputError(
            "the plan in the ledger does not match its own digest", seen=plan.id, remedy="invoke ledger.verify"
        )
    return plan


def commit() -> str:
    """The commit that is checked out, with a mark if the tree differs from it; `no-git` outside a checkout."""
    root = PLAYBOOKS.parent
    try:
        head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no-git"
    return head.stdout.strip()[:12] + ("-modified" if dirty else "")


def operating_user() -> str:
    """Who runs this, by the operating system."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown-user"
