"""What a host answered, typed: the look, and what the profile's words in it mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.model.mode import Mode, ModeReading, Switch, agreed_mode
from ops.model.profile import ModeSetting, Profile


@dataclass(frozen=True)
class Reply:
    """One host's answer to one request. `reached` is False when the host did not answer at all."""

    host: str
    reached: bool
    ok: bool
    error_code: str = ""
    error: str = ""
    done: Mapping[str, Any] = field(default_factory=dict)
    look: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, host: str, answer: Mapping[str, Any]) -> Reply:
        """From the host program's document."""
        error = answer.get("error") or {}
        return cls(
            host,
            True,
            bool(answer["ok"]),
            error.get("code", ""),
            error.get("text", ""),
            answer.get("done") or {},
            answer.get("look") or {},
        )

    @classmethod
    def dark(cls, host: str, why: str) -> Reply:
        """A host that did not answer: everything about it is unknown."""
        return cls(host, False, False, "dark", why)


def declared_mode(values: Mapping[str, Any] | None, setting: ModeSetting) -> Mode:
    """Live or paper only if every variable has exactly that mode's value; anything else is unknown."""
    if not values:
        return Mode.UNKNOWN
    for mode in (Mode.PAPER, Mode.LIVE):
        if all(values.get(name) == getattr(two, mode) for name, two in setting.variables.items()):
            return mode
    return Mode.UNKNOWN


def field_of(document: object, name: str) -> object:
    """A field of what the bot showed; dots lead into nested objects. None if it is not there."""
    for part in name.split("."):
        document = document.get(part) if isinstance(document, Mapping) else None
    return document


def spelled(value: object) -> str:
    """A value as JSON and YAML write it: true and false, not True and False. The host program does the same."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _said(look: Mapping[str, Any], readout: str) -> object:
    return (look.get("api") or {}).get(readout)


def mode_reading(look: Mapping[str, Any], profile: Profile) -> ModeReading:
    """The three readings of one host; `loaded` is that of every process of the bot together.

    Of a bot that is stopped behind the gate of its start nothing is loaded that could differ from the file.
    """
    env = look.get("env") or {}
    declared = declared_mode(env.get("variables"), profile.mode) if env.get("problems") == [] else Mode.UNKNOWN
    if is_behind_its_gate(look, profile):
        return ModeReading(declared, declared, declared)
    word = field_of(_said(look, "mode"), profile.mode.readout.field)
    return ModeReading(declared, _loaded_mode(look, profile), profile.mode.words.get(spelled(word), Mode.UNKNOWN))


_DEAD = ("STOPPED", "EXITED", "FATAL", "GONE")


def is_behind_its_gate(look: Mapping[str, Any], profile: Profile) -> bool:
    """Whether this is a bot that does not start while its gate stands, with the gate set and nothing of it running."""
    also = look.get("also") or {}
    processes = [look.get("process") or {}, *(also.get(name) or {} for name in profile.service.also)]
    dead = all(process.get("state") in _DEAD for process in processes)
    return profile.service.start_gated and bool(look.get("gate")) and dead and _strays(look) == []


def _strays(look: Mapping[str, Any]) -> object:
    """The processes of the bot beside those of its manager; None if nobody knows."""
    return (look.get("instances") or {}).get("strays")


def _loaded_mode(look: Mapping[str, Any], profile: Profile) -> Mode:
    also = look.get("also") or {}
    processes = [look.get("loaded"), *((also.get(name) or {}).get("loaded") for name in profile.service.also)]
    return agreed_mode(declared_mode((loaded or {}).get("variables"), profile.mode) for loaded in processes)


def switch_state(look: Mapping[str, Any], profile: Profile) -> Switch:
    """Armed only if the bot says so and no gate stands; tripped if the bot says so, or if it does not run at all
    behind a standing gate; else unknown. A bot without a switch of its own is tripped by nothing but a gate; no word of
    it speaks for a process beside those of its manager."""
    word = field_of(_said(look, "switch"), profile.switch.readout.field)
    state = profile.switch.words.get(spelled(word), Switch.UNKNOWN)
    process, gate = (look.get("process") or {}).get("state"), look.get("gate")
    if _strays(look) and state is not Switch.ARMED:
        return Switch.UNKNOWN
    if state is Switch.UNKNOWN and gate and process in _DEAD:
        return Switch.TRIPPED
    if (state is Switch.ARMED and gate) or (state is Switch.TRIPPED and not gate and profile.switch.trip is None):
        return Switch.UNKNOWN
    return state


def switch_reason(look: Mapping[str, Any], profile: Profile) -> str:
    """Why the bot says that it is halted, or who set its gate if it says no reason; empty if nobody says."""
    if profile.switch.reason_field is None:
        return str(field_of(look.get("gate"), "by") or "")
    return str(field_of(_said(look, "switch"), profile.switch.reason_field) or "")


def observed_account(look: Mapping[str, Any], profile: Profile, venue: str) -> str:
    """The account at a venue that the bot says it is using; empty if it does not say."""
    return str(field_of(_said(look, "mode"), profile.mode.accounts[venue]) or "")


def loop_age_seconds(look: Mapping[str, Any], profile: Profile) -> float | None:
    """How long ago the bot's loop turned; None if it does not say."""
    age = field_of(_said(look, "health"), profile.health.readout.field)
    return float(age) if isinstance(age, (int, float)) and not isinstance(age, bool) else None
