"""What the ledger says about one system: replayed, never stored. The stage is a fold over the records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.model.record import Record


@dataclass
class Transition:
    """One transition as the ledger tells it."""

    id: str
    verb: str
    epoch: int
    plan: str
    opened_at: str
    intended: list[str] = field(default_factory=list)
    done: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    unproven: set[str] = field(default_factory=set)
    failed: str = ""
    outcome: str = ""
    closed_at: str = ""
    slot_from: str = ""

    @property
    def open(self) -> bool:
        """Begun and neither committed nor brought to a safe end."""
        return not self.outcome


@dataclass
class History:
    """One system's past. `stage` is paper until a go-live commits; `residue` is what the last end left unproven.

    `fleet` is what each host showed at the last proof before a commit, `armed` whether that commit let them trade.
    `live_unproven`: that end was one of a system whose live account was in force. It stays so until one proves all.
    """

    system: str
    stage: str = "paper"
    since: str = ""
    plan: str = ""
    residue: tuple[str, ...] = ()
    live_unproven: bool = False
    transitions: dict[str, Transition] = field(default_factory=dict)
    plans: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    signatures: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    used_plans: set[str] = field(default_factory=set)
    keys: list[Mapping[str, Any]] = field(default_factory=list)
    evidence: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    kills: list[Mapping[str, Any]] = field(default_factory=list)
    epoch: int = 0
    fleet: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    armed: bool = False

    @property
    def interrupted(self) -> list[Transition]:
        """Transitions that were begun and never ended, oldest first."""
        return [transition for transition in self.transitions.values() if transition.open]

    @property
    def live(self) -> bool:
        """Committed to a live stage."""
        return self.stage.startswith("live")


def replay(records: Iterable[Record], system: str) -> History:
    """Folds the records of one system. Kinds it does not know are passed over: they are for people."""
    history = History(system)
    for record in records:
        if record.body.get("system") == system:
            handler = _HANDLERS.get(record.kind)
            if handler:
                handler(history, record)
    return history


def _plan_made(history: History, record: Record) -> None:
    history.plans[record.body["plan"]] = {**record.body, "at": record.at}


def _signature_added(history: History, record: Record) -> None:
    history.signatures.setdefault(record.body["plan"], []).append({**record.body, "at": record.at})


def _opened(history: History, record: Record) -> None:
    body = record.body
    history.transitions[body["transition"]] = Transition(
        body["transition"], body["verb"], int(body["epoch"]), body.get("plan", ""), record.at,
        slot_from=body.get("slot_from", ""),
    )  # fmt: skip
    history.epoch = max(history.epoch, int(body["epoch"]))
    if body.get("plan"):
        history.used_plans.add(body["plan"])


def _transition(history: History, record: Record) -> Transition:
    """The transition of a record. Its opening may be missing: on the way down nothing waits for the ledger."""
    name = record.body["transition"]
    return history.transitions.setdefault(name, Transition(name, "unrecorded", 0, "", record.at))


def _intended(history: History, record: Record) -> None:
    _transition(history, record).intended.append(record.body["step"])


def _done(history: History, record: Record) -> None:
    body = record.body
    _transition(history, record).done[body["step"]] = body.get("evidence", {})


def _failed(history: History, record: Record) -> None:
    transition = _transition(history, record)
    transition.unproven.add(record.body["step"])
    transition.failed = transition.failed or f"{record.body['step']}: {record.body['reason']}"


def _closed(history: History, record: Record) -> None:
    body = record.body
    transition = _transition(history, record)
    transition.outcome, transition.closed_at = body["outcome"], record.at
    if body["outcome"] == "committed" and body.get("stage"):
        if body["stage"] != history.stage:
            history.since = record.at
            history.plan = transition.plan
        history.stage = body["stage"]
    shown = [done["fleet"] for done in transition.done.values() if done.get("fleet")]
    if body["outcome"] == "committed":
        history.fleet, history.armed = shown[-1] if shown else {}, "rearm" in transition.done
    history.residue = tuple(body.get("residue", ()))
    history.live_unproven = bool(history.residue) and (history.live_unproven or transition.slot_from == "live")


def _key_changed(history: History, record: Record) -> None:
    history.keys.append({**record.body, "at": record.at})


def _evidence(history: History, record: Record) -> None:
    history.evidence[record.body["name"]] = {**record.body, "at": record.at}


def _kill_done(history: History, record: Record) -> None:
    history.armed = False
    history.kills.append({**record.body, "at": record.at})


_HANDLERS = {
    "plan.made": _plan_made,
    "signature.added": _signature_added,
    "transition.opened": _opened,
    "step.intended": _intended,
    "step.done": _done,
    "step.failed": _failed,
    "transition.closed": _closed,
    "key.changed": _key_changed,
    "evidence.recorded": _evidence,
    "kill.done": _kill_done,
}
