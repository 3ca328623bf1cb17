"""What a host answered, typed: the look, and what the profile's words in it mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.model.mode import Mode, ModeReading, Switch
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


def mode_reading(look: Mapping[str, Any], profile: Profile) -> ModeReading:
    """The three readings of one host."""
    env, loaded = look.get("env") or {}, look.get("loaded") or {}
    said = (look.get("api") or {}).get("mode") or {}
    declared = declared_mode(env.get("variables"), profile.mode) if env.get("problems") == [] else Mode.UNKNOWN
    observed = profile.mode.words.get(str(said.get(profile.mode.readout.field)), Mode.UNKNOWN)
    return ModeReading(declared, declared_mode(loaded.get("variables"), profile.mode), observed)


def switch_state(look: Mapping[str, Any], profile: Profile) -> Switch:
    """Armed only if the bot says so and no gate stands; tripped if the bot says so, or if it does not run at all
    behind a standing gate; else unknown."""
    said = (look.get("api") or {}).get("switch") or {}
    state = profile.switch.words.get(str(said.get(profile.switch.readout.field)), Switch.UNKNOWN)
    process = (look.get("process") or {}).get("state")
    if state is Switch.UNKNOWN and look.get("gate") and process in ("STOPPED", "EXITED", "FATAL", "GONE"):
        return Switch.TRIPPED
    if state is Switch.ARMED and look.get("gate"):
        return Switch.UNKNOWN
    return state


def switch_reason(look: Mapping[str, Any], profile: Profile) -> str:
    """Why the bot says that it is halted; empty if it does not say."""
    said = (look.get("api") or {}).get("switch") or {}
    return str(said.get(profile.switch.reason_field) or "")


def observed_account(look: Mapping[str, Any], profile: Profile) -> str:
    """The venue account that the bot says it is using; empty if it does not say."""
    said = (look.get("api") or {}).get("mode") or {}
    return str(said.get(profile.mode.account_field) or "")


def loop_age_seconds(look: Mapping[str, Any], profile: Profile) -> float | None:
    """How long ago the bot's loop turned; None if it does not say."""
    age = ((look.get("api") or {}).get("health") or {}).get(profile.health.readout.field)
    return float(age) if isinstance(age, (int, float)) else None
