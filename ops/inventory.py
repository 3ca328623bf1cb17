"""The door to `inventory/<env>/`: environments, people, profiles, and what their paths stand for."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ops.errors import InputError
from ops.model.profile import Profile, Slot
from ops.project import inventory_root, state_root
from ops.yaml_source import YamlSource

# The commented files that every environment is copied from.
EXAMPLES = Path(__file__).resolve().parents[1] / "inventory" / "sandbox"

Model = TypeVar("Model", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Ports(_Frozen):
    """Where the embedded sandbox listens on loopback."""

    admin: int
    paper: int
    live: int
    prometheus: int
    grafana: int
    slack: int
    telegram: int


class Environment(_Frozen):
    """`environment.yml`: what is true for all systems of one environment."""

    environment: str
    provider: Literal["sandbox", "none"]
    secrets: str
    allowed_signers: str
    sandbox: Ports | None = None


class Person(_Frozen):
    """One person and the roles in which they may sign."""

    roles: tuple[str, ...] = Field(min_length=1)


class People(_Frozen):
    """`people.yml`."""

    people: dict[str, Person] = Field(min_length=1)


@dataclass(frozen=True)
class Place:
    """One environment on this machine: its inventory folder and Interlock's own folder for it."""

    name: str
    inventory: Path
    state: Path

    @property
    def run(self) -> Path:
        """A short folder for sockets: a unix socket's path may not exceed about 100 characters."""
        mark = hashlib.sha256(str(self.state).encode()).hexdigest()[:10]
        return Path(tempfile.gettempdir()) / f"interlock-{os.getuid()}-{mark}"

    @property
    def last_good(self) -> Path:
        """Where the copy of the inventory is kept that could last be read without a fault."""
        return self.state / "kill" / "inventory"

    def path(self, text: str, host: str = "") -> Path:
        """The path that `{state}`, `{run}` and `{host}` in `text` stand for."""
        return Path(self.text(text, host))

    def text(self, text: str, host: str = "") -> str:
        """`text` with `{state}`, `{run}`, `{inventory}` and `{host}` filled in."""
        for mark, value in {
            "{state}": self.state,
            "{run}": self.run,
            "{inventory}": self.inventory,
            "{host}": host,
        }.items():
            text = text.replace(mark, str(value))
        return text


def environments() -> list[str]:
    """The names of the environments that have an `environment.yml`, in order."""
    return sorted(path.parent.name for path in inventory_root().glob("*/environment.yml"))


def place(name: str) -> Place:
    """The environment of that name. Raises InputError if there is none."""
    folder = inventory_root() / name
    if not (folder / "environment.yml").is_file():
        raise InputError(
            f"there is no environment {name!r}",
            file=folder / "environment.yml",
            expected=f"one of: {', '.join(environments()) or 'none is set up'}",
            remedy="name one with --env, or make the folder (see inventory/sandbox)",
        )
    return Place(name, folder, state_root() / name)


def load_environment(where: Place) -> Environment:
    """`environment.yml`, with its paths filled in."""
    loaded = _load(where.inventory / "environment.yml", Environment)
    return loaded.model_copy(
        update={
            "secrets": where.text(loaded.secrets),
            "allowed_signers": where.text(loaded.allowed_signers),
        }
    )


def load_people(where: Place) -> Mapping[str, Person]:
    """The people of an environment by name."""
    return _load(where.inventory / "people.yml", People).people


def systems(where: Place) -> list[str]:
    """The names of the environment's systems, in order."""
    return sorted(path.stem for path in (where.inventory / "systems").glob("*.yml"))


def profile_path(where: Place, system: str) -> Path:
    """The file that holds a system's profile."""
    return where.inventory / "systems" / f"{system}.yml"


def load_profile(where: Place, system: str) -> Profile:
    """A system's profile. Raises InputError naming file and line of the first thing that is wrong."""
    path = profile_path(where, system)
    if not path.is_file():
        raise InputError(
            f"there is no system {system!r} in {where.name}",
            file=path,
            expected=f"one of: {', '.join(systems(where)) or 'none'}",
            remedy="name one with --system",
        )
    profile = _load(path, Profile)
    source = YamlSource(path)
    if profile.system != system:
        raise InputError(
            "the profile is of another system",
            file=path,
            line=source.line(("system",)),
            expected=system,
            seen=profile.system,
        )
    _refuse_modes_alike(profile, source)
    _refuse_crossed_accounts(profile, source)
    _refuse_plain_http(profile, source)
    if "gate" not in profile.brakes:
        raise InputError(
            "no brake survives a restart",
            file=source.path,
            line=source.line(("brakes",)),
            expected="gate among the brakes",
            remedy="a halt that the next start forgets is none",
        )
    return profile


def _refuse_modes_alike(profile: Profile, source: YamlSource) -> None:
    for name, two in profile.mode.variables.items():
        if two.paper == two.live:
            raise InputError(
                f"{name} has the same value in paper and in live",
                file=source.path,
                line=source.line(("mode", "variables", name)),
                expected="two different ones",
                remedy="a variable that does not change says nothing about the mode: leave it out, or correct it",
            )


def _refuse_crossed_accounts(profile: Profile, source: YamlSource) -> None:
    venue = profile.venue
    for field in ("endpoint", "account", "credentials"):
        if getattr(venue.paper, field) == getattr(venue.live, field):
            raise InputError(
                f"paper and live have the same {field}",
                file=source.path,
                line=source.line(("venue", "live", field)),
                expected="two different ones",
                remedy="a system must be able to tell its two accounts apart",
            )
    if venue.kind == "alpaca" and venue.live.account.startswith("PA"):
        raise InputError(
            "the live slot names a paper account",
            file=source.path,
            line=source.line(("venue", "live", "account")),
            expected="a live account number (digits)",
            seen=venue.live.account,
            remedy="put the live account's number here",
        )
    if venue.kind == "alpaca" and not venue.paper.account.startswith("PA"):
        raise InputError(
            "the paper slot names a live account",
            file=source.path,
            line=source.line(("venue", "paper", "account")),
            expected="a paper account number (PA...)",
            seen=venue.paper.account,
            remedy="put the paper account's number here",
        )


def _refuse_plain_http(profile: Profile, source: YamlSource) -> None:
    for slot in get_args(Slot):
        endpoint = profile.venue.slot(slot).endpoint
        host = endpoint.split("//", 1)[1].split("/")[0].split(":")[0]
        if (
            endpoint.startswith("http://")
            and host not in ("127.0.0.1", "localhost")
            and not profile.venue.plain_http_reason
        ):
            raise InputError(
                "credentials would cross the network in clear",
                file=source.path,
                line=source.line(("venue", slot, "endpoint")),
                expected="https://",
                seen=f"http://{host}",
                remedy="use https, or say in venue.plain_http_reason why not",
            )


def _load(path: Path, model: type[Model]) -> Model:
    source = YamlSource(path)
    if not isinstance(source.value, dict):
        raise InputError("holds no settings", file=path, expected="a YAML mapping")
    try:
        return model.model_validate(source.value)
    except ValidationError as error:
        raise _told(error, source) from None


def _told(error: ValidationError, source: YamlSource) -> InputError:
    """The first complaint of pydantic as one of ours. The rejected input is never repeated."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place: tuple[Any, ...] = first["loc"]
    name = ".".join(map(str, place))
    kind = str(first["type"])
    example = _example(source, place)
    if kind == "extra_forbidden":
        return InputError(
            f"unknown key {name!r}",
            file=source.path,
            line=source.line(place),
            remedy=f"the commented example has every key there is: {EXAMPLES}",
        )
    if kind == "missing":
        return InputError(
            f"{name} is missing",
            file=source.path,
            line=source.line(place[:-1]),
            expected=f"a value for {place[-1]}",
            remedy=f"add it, there is no default{example}",
        )
    return InputError(
        f"{name} is wrong",
        file=source.path,
        line=source.line(place),
        expected=str(first["msg"]),
        remedy=f"mend it{example}",
    )


def _example(source: YamlSource, place: tuple[Any, ...]) -> str:
    """The line of the commented example that shows this very key: the example is the schema's help."""
    is_profile = source.path.parent.name == "systems"
    path = EXAMPLES / "systems" / "alpaca-bot.yml" if is_profile else EXAMPLES / source.path.name
    try:
        example = YamlSource(path)
        line = example.lines[place]
        return f"; as in {path}:{line}: {path.read_text().splitlines()[line - 1].strip()}"
    except (InputError, KeyError):
        return ""
