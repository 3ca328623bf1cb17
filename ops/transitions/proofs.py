"""The proofs between the changes of a transition: fresh looks that a step must survive before the next one begins."""

from __future__ import annotations

from datetime import timedelta

from ops.checks.fleet import facts
from ops.checks.registry import ask
from ops.checks.sight import Sight, take_sight
from ops.errors import DoorError
from ops.hosts.reply import Reply, is_behind_its_gate, switch_reason
from ops.hosts.testinfra import Standing, foreign_keys
from ops.hosts.testinfra import verify_hosts as run_testinfra
from ops.ledger.store import LedgerUnavailable
from ops.model.canonical import utc_time
from ops.model.history import History, replay
from ops.model.mode import Switch
from ops.model.outcome import Finding, Outcome
from ops.model.plan import Plan
from ops.model.step import Ended
from ops.steps.run import Run
from ops.transitions import signoff

EVIDENCE_MAX = timedelta(seconds=60)


def _sight(run: Run, playbook: str = "look.yml", insist: bool = False) -> Sight:
    history, asked = _history(run), run.doors.clock()
    replies = run.doors.fleet.look(None, run.slot_to, playbook, insist)
    return take_sight(run.doors, history, replies, timedelta(hours=1), asked)


def _history(run: Run) -> History:
    """These proofs are of hosts and venue: a ledger that cannot be read does not keep them from being made."""
    try:
        return replay(run.doors.ledger.records(), run.doors.profile.system)
    except LedgerUnavailable:
        return History(run.doors.profile.system)


def _ended(findings: list[Finding], seen: str = "") -> Ended:
    bad = tuple(f"{f.check}: {f.seen}" for f in findings if f.outcome is not Outcome.PASS)
    return Ended(seen or "; ".join(f.seen for f in findings), bad)


def _proven(sight: Sight, findings: list[Finding], seen: str) -> Ended:
    """With what each host showed: what a commit right after this proof leaves behind, for `invoke drift`."""
    ended = _ended(findings, seen)
    shown = {host: facts(reply.look, sight.profile) for host, reply in _shown(sight)}
    return Ended(ended.seen, ended.problems, {"fleet": shown})


def _shown(sight: Sight) -> list[tuple[str, Reply]]:
    """The hosts that show anything at all."""
    return [(host, reply) for host, reply in sight.replies.items() if reply.look]


def mode(run: Run) -> Ended:
    """Declared = loaded = observed on every host, with the pinned account and the planned key; one fleet, halted."""
    sight = _sight(run)
    findings = [
        ask("mode_consistency", sight, {"expect": run.slot_to}),
        ask("fleet_equality", sight, {"expect": run.slot_to, "size_pct": run.size_pct}),
        ask("host_identity", sight, {}),
        _untouched(run, sight),
        ask("killswitch.state", sight, {"expect": str(Switch.TRIPPED)}),
        _key_loaded(run, sight),
        _not_tripped_anew(run, sight),
    ]
    return _proven(sight, findings, f"{run.slot_to} on {len(sight.replies)} hosts by all three readings, tripped")


def _untouched(run: Run, sight: Sight) -> Finding:
    """Env file and release are those that this transition saw last: nobody edits or deploys in the middle of it.

    What a dark host holds is told by the proof of mode: unknown.
    """
    before = run.done.get("snapshot") or {}
    wanted = {
        "sha256": (run.done.get("flip") or before).get("env") or {},
        "release_sha256": before.get("release") or {},
    }
    changed = []
    for host, reply in _shown(sight):
        now = {**(reply.look.get("env") or {}), "release_sha256": reply.look.get("release_sha256")}
        called = {"sha256": "env file", "release_sha256": "release"}
        changed += [f"{host}: {called[w]} changed" for w, was in wanted.items() if was.get(host) != now.get(w)]
    return sight.finding("untouched", not changed, "; ".join(changed) or "as this transition left them")


def _key_loaded(run: Run, sight: Sight) -> Finding:
    """The process itself holds the planned keys: a restart that did not read the file anew is seen here.

    What a dark host's process holds is told by the proof of mode: unknown.
    """
    salt, venues = run.doors.secrets.salt(), run.doors.profile.venues
    planned = run.doors.bot_credentials(run.slot_to)
    wrong = []
    for host, reply in _shown(sight):
        part = "env" if is_behind_its_gate(reply.look, sight.profile) else "loaded"
        loaded = (reply.look.get(part) or {}).get("fingerprints") or {}
        wrong += [
            f"{host}: the process holds {loaded.get(variable) or 'no key'} in {variable}"
            for venue, credentials in planned[host].items()
            for variable, part in venues[venue].variables.secrets.items()
            if loaded.get(variable) != credentials.fingerprint(salt, part)
        ]
    return sight.finding("key_loaded", not wrong, "; ".join(wrong) or "the planned keys are loaded")


def _not_tripped_anew(run: Run, sight: Sight) -> Finding:
    """Each bot is halted for our reason still: one that tripped itself in the new mode has found something.

    One that waits at its gate can say nothing yet: its gate must be ours, which the host compares before it lifts it.
    """
    ours = run.done["trip"]["reasons"]
    looks = {host: reply.look for host, reply in _shown(sight) if not is_behind_its_gate(reply.look, sight.profile)}
    now = {host: switch_reason(look, sight.profile) for host, look in looks.items()}
    anew = [f"{host} tripped for: {reason}" for host, reason in now.items() if reason != ours.get(host)]
    return sight.finding("not_tripped_anew", not anew, "; ".join(anew) or "halted by this transition alone")


def account(run: Run) -> Ended:
    """The venue's own answer shows the pinned account for the key in force."""
    sight = _sight_without_hosts(run)
    return _ended([ask("venue.auth", sight, {"env": run.slot_to, "bot_keys": False})])


def _sight_without_hosts(run: Run) -> Sight:
    history = _history(run)
    return take_sight(run.doors, history, {}, timedelta(hours=1))


def hosts(run: Run) -> Ended:
    """testinfra, on every host: planned size, gate, no key of the other mode, its deadline."""
    doors, slot = run.doors, run.slot_to
    standing = Standing(
        tripped=True, deadline="arm" in run.proven, foreign=foreign_keys(doors.secrets, doors.profile, slot)
    )
    verdict = run_testinfra(doors.fleet, doors.bot_credentials(slot), slot, run.size_pct, standing)
    return Ended(f"{verdict.passed} assertions on {verdict.hosts} hosts", verdict.problems)


def health(run: Run) -> Ended:
    """The bots' loops turn in the new mode, and people can see them."""
    sight = _sight(run, playbook="health_audit.yml")
    findings = [ask("host_health", sight, {})]
    if any(_is_scraped(sight, host) for host in sight.replies):
        findings += [ask("prom_target", sight, {}), ask("dashboard", sight, {"max_staleness_s": 60})]
    return _ended(findings)


def _is_scraped(sight: Sight, host: str) -> bool:
    """A bot without an API has nothing to be scraped, and one that waits at its gate nobody to answer yet."""
    return bool(sight.profile.hosts[host].api) and not is_behind_its_gate(sight.replies[host].look, sight.profile)


def reconcile(run: Run) -> Ended:
    """Against the snapshot: at every venue the same positions, nothing open, while the bot was halted."""
    seen = run.doors.each_venue(lambda venue: _unlike_before(run, venue))
    problems = tuple(text for found, _ in seen.values() for text in found)
    return Ended(f"{sum(count for _, count in seen.values())} positions as before, nothing open", problems)


def _unlike_before(run: Run, venue: str) -> tuple[list[str], int]:
    """(What differs at one venue, how many positions it shows)."""
    before = (run.done["snapshot"].get(run.slot_to) or {}).get(venue) or {}
    name = run.doors.account_name(venue, run.slot_to)
    try:
        reader = run.doors.reader(venue, run.slot_to)
        now, left = {p.symbol: str(p.qty) for p in reader.positions()}, reader.open_orders()
    except DoorError as error:
        return [f"{name}: UNKNOWN: {error}"], 0
    problems = (
        [] if now == before.get("positions") else [f"{name}: positions were {before.get('positions')}, are {now}"]
    )
    called = (run.doors.order_name(venue, order) for order in left)
    return problems + [f"{name}: open order {order} that nobody placed here" for order in called], len(now)


def sign_off(run: Run, plan: Plan, proven_at: str) -> Ended:
    """The signatures once more, and evidence younger than 60 s: the last thing before risk goes up."""
    history = replay(run.doors.ledger.records(), run.doors.profile.system)
    verdict = signoff.quorum(run.doors, plan, history)
    problems = list(verdict.problems) + [f"no signature as {role}" for role in verdict.missing]
    age = run.doors.clock() - utc_time(proven_at)
    fresh = timedelta(seconds=-2) <= age <= EVIDENCE_MAX  # as `Finding.aged`: one from the future proves nothing
    problems += [] if fresh else [f"the proof of mode is {age.total_seconds():.0f} s old"]
    signers = " and ".join(f"{person} ({role})" for person, role in verdict.signers.items())
    return Ended(f"signed by {signers}", tuple(problems), {"signers": dict(verdict.signers)})


def paper(run: Run) -> Ended:
    """Everything on paper and halted, by every reading and by the venue."""
    sight = _sight(run, insist=True)
    findings = [
        ask("mode_consistency", sight, {"expect": "paper"}),
        ask("killswitch.state", sight, {"expect": str(Switch.TRIPPED)}),
        _key_loaded(run, sight),
        ask("venue.auth", sight, {"env": "paper", "bot_keys": False}),
    ]
    return _proven(sight, findings, f"paper and tripped on {len(sight.replies)} hosts")
