"""Rehearsals on the running system: what a checklist wants to have seen happen.

Their results are evidence with an age.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ops.alerts.channel import AlertChannel, open_channel
from ops.checklist import load_checklist
from ops.checks.registry import ask
from ops.checks.sight import Sight
from ops.doors import Doors
from ops.errors import DoorError, InputError, Refused
from ops.hosts.reply import Reply, field_of, spelled
from ops.model.outcome import Outcome
from ops.model.profile import Drill
from ops.model.step import Ended
from ops.transitions.progress import Progress

ACKNOWLEDGED_WITHIN_SECONDS = 60


def due(sight: Sight, phases: Sequence[str] = ("preflight",)) -> list[str]:
    """The drills of those phases that have no fresh, passed record."""
    names = []
    for entry in load_checklist(sight.profile.checklist):
        for probe in entry.probes:
            if entry.phase in phases and probe["type"] in ("drill", "alert_roundtrip"):
                finding = ask(str(probe["type"]), sight, probe)
                names += [str(probe.get("control", "alert"))] if finding.outcome is not Outcome.PASS else []
    return list(dict.fromkeys(names))


def run_drills(doors: Doors, progress: Progress, names: Sequence[str]) -> dict[str, Ended]:
    """Runs each and records how it ended. Raises InputError for a drill that the profile does not have."""
    results = {}
    for name in names:
        if name != "alert" and name not in doors.profile.drills:
            known = ", ".join([*doors.profile.drills, "alert"])
            raise InputError(f"there is no drill {name!r}", expected=f"one of: {known}")
        progress.begins("drill", name, f"Drill: {name.replace('_', ' ')}")
        ended = alert(doors) if name == "alert" else control(doors, doors.profile.drills[name])
        progress.ends(name, ended)
        _record(doors, name, ended)
        results[name] = ended
    return results


def control(doors: Doors, drill: Drill) -> Ended:
    """The bot's own control, driven to its limit on every host."""
    request = {
        **drill.model_dump(mode="json"),
        "paper": {name: two.paper for name, two in doors.profile.mode.variables.items()},
    }
    replies = doors.fleet.drill(request)
    unfit = [f"{h}: {r.error}" for h, r in replies.items() if r.error_code in ("not-armed", "not-paper")]
    if unfit:
        raise Refused(f"the drill cannot be run now: {unfit[0]}", reasons=unfit, remedy="invoke rearm, on paper")
    problems = [f"{host}: {text}" for host, reply in replies.items() for text in _wrong(reply, drill)]
    took = max((float(r.done.get("seconds", 0)) for r in replies.values()), default=0.0)
    releases = {str(reply.look.get("release_sha256")) for reply in replies.values()}
    return Ended(
        f"{'NOT ' if problems else ''}as expected on {len(replies)} hosts within {took:.1f} s",
        tuple(problems),
        {"release": min(releases)},
    )


def _wrong(reply: Reply, drill: Drill) -> list[str]:
    if not reply.ok:
        return [reply.error]
    answer = reply.done.get("answer") or {}
    wrong = [f"answered {reply.done.get('status')}"] if reply.done.get("status") != 200 else []
    if drill.until and reply.done.get("seen") != drill.until:
        wrong.append(f"the switch stayed {reply.done.get('seen')}")
    wrong += [
        f"{field} is {field_of(answer, field)!r}, less than {n}"
        for field, n in drill.at_least.items()
        if not _reaches(field_of(answer, field), n)
    ]
    return wrong + [
        f"{field} is {field_of(answer, field)!r}, not {wanted}"
        for field, wanted in drill.expect.items()
        if wanted not in (str(field_of(answer, field)), spelled(field_of(answer, field)))
    ]


def _reaches(value: object, least: int) -> bool:
    return isinstance(value, int) and value >= least


def alert(doors: Doors) -> Ended:
    """A message with a nonce to every channel; at least one must bring back a person's acknowledgement in time."""
    nonce = doors.new_id()
    text = f"Interlock drill {nonce} for {doors.profile.system}: acknowledge this message. No action is needed."
    sent: dict[str, tuple[AlertChannel, str]] = {}
    problems = []
    for channel in doors.profile.monitoring.channels:
        try:
            door = open_channel(channel, doors.secrets.token(channel.token))
            sent[channel.kind] = (door, door.send(text))
        except DoorError as error:
            problems.append(f"{channel.kind}: {error}")
    acknowledged = _await(doors, sent)
    silent = [f"{kind}: sent, not acknowledged" for kind in sent if kind not in acknowledged]
    seen = f"acknowledged on {', '.join(acknowledged) or 'no channel'}" + (
        f" ({'; '.join(problems + silent)})" if problems or silent else ""
    )
    return Ended(seen, () if acknowledged else (*problems, *silent), {"nonce": nonce})


def _await(doors: Doors, sent: Mapping[str, tuple[AlertChannel, str]]) -> list[str]:
    """Until every channel that took the message is acknowledged, or the time is up."""
    until = doors.monotonic() + ACKNOWLEDGED_WITHIN_SECONDS
    found: list[str] = []
    while len(found) < len(sent) and doors.monotonic() < until:
        for kind, (door, receipt) in sent.items():
            try:
                if kind not in found and door.acknowledged(receipt):
                    found.append(kind)
                    # One answer is enough to go on; the others get a short while to show that they work too.
                    until = min(until, doors.monotonic() + 3)
            except DoorError:
                continue
        doors.pause(0.2)
    return found


def _record(doors: Doors, name: str, ended: Ended) -> None:
    outcome = "pass" if ended.proven else "fail"
    seen = ended.seen if ended.proven else "; ".join(ended.problems)
    body = {"system": doors.profile.system, "name": f"drill/{name}", "outcome": outcome, "seen": seen, **ended.evidence}
    doors.ledger.append("evidence.recorded", body)
