"""The door to `inventory/<env>/`: environments, people, profiles, and what their paths stand for."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ops.errors import InputError
from ops.model.profile import Profile, Slot, VenueSetting
from ops.model.soundness import Complaint, complaints
from ops.model.traits import TRAITS
from ops.neighbours import clashes
from ops.project import inventory_root, state_root
from ops.yaml_source import YamlSource

# The commented files that every environment is copied from.
EXAMPLES = Path(__file__).resolve().parents[1] / "inventory" / "sandbox"
CHECKLISTS = Path(__file__).resolve().parent / "checklists"

Model = TypeVar("Model", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SandboxSetting(_Frozen):
    """The ports on loopback that no profile names: each system's own lever on its simulated world."""

    admin_ports: dict[str, int]


class Environment(_Frozen):
    """`environment.yml`: what is true for all systems of one environment."""

    environment: str
    provider: Literal["sandbox", "none", "fleet"]
    secrets: str
    allowed_signers: str
    default_system: str | None = None
    network: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    sandbox: SandboxSetting | None = None


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


def place_of(inventory: Path) -> Place:
    """The environment whose inventory folder this is; the folder may be its last good copy."""
    if inventory.parts[-2:] == ("kill", "inventory"):
        state = inventory.parents[1]
        return Place(state.name, inventory, state)
    return Place(inventory.name, inventory, state_root() / inventory.name)


def load_environment(where: Place) -> Environment:
    """`environment.yml`, with its paths filled in."""
    path = where.inventory / "environment.yml"
    loaded = _load(path, Environment)
    # The last good copy holds only the systems that have been opened.
    if loaded.default_system not in (None, *systems(where)) and where.inventory != where.last_good:
        raise InputError(
            f"there is no system {loaded.default_system!r} in {where.name}", file=path,
            line=YamlSource(path).line(("default_system",)), expected=f"one of: {', '.join(systems(where)) or 'none'}",
            remedy="name one that is there, or leave default_system out",
        )  # fmt: skip
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
    for venue, setting in profile.venues.items():
        _refuse_crossed_accounts(venue, setting, source)
        _refuse_plain_text(venue, setting, source)
        _refuse_missing_keys(venue, setting, len(profile.hosts), source)
    _refuse_unread_accounts(profile, source)
    _refuse_alike_prefixes(profile, source)
    if "gate" not in profile.brakes:
        raise InputError(
            "no brake survives a restart",
            file=source.path,
            line=source.line(("brakes",)),
            expected="gate among the brakes",
            remedy="a halt that the next start forgets is none",
        )
    # The last good copy fitted when it was taken: no neighbour and no rule that came since may stand in the way down.
    if where.inventory != where.last_good:
        _refuse_first(complaints(profile), source)
        _refuse_missing_checklist(profile, source)
        _refuse_first(clashes(profile, where.inventory), source)
    return profile


def _refuse_first(found: Iterable[Complaint], source: YamlSource) -> None:
    for one in found:
        raise InputError(
            one.problem, file=source.path, line=source.line(one.place), expected=one.expected, seen=one.seen,
            remedy=one.remedy,
        )  # fmt: skip


def _refuse_missing_checklist(profile: Profile, source: YamlSource) -> None:
    there = sorted(path.stem for path in CHECKLISTS.glob("*.yml"))
    if profile.checklist not in there:
        raise InputError(
            f"there is no checklist {profile.checklist!r}", file=source.path, line=source.line(("checklist",)),
            expected=f"one of: {', '.join(there)}", remedy="any-bot is the least for a bot without a list of its own",
        )  # fmt: skip


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


def _refuse_crossed_accounts(venue: str, setting: VenueSetting, source: YamlSource) -> None:
    for field in ("endpoint", "account", "credentials", "observer", "kill"):
        paper, live = getattr(setting.paper, field), getattr(setting.live, field)
        if paper == live and live is not None:
            raise InputError(
                f"paper and live have the same {field}",
                file=source.path,
                line=source.line(("venues", venue, "live", field)),
                expected="two different ones",
                remedy="a system must be able to tell its two accounts apart",
            )
    traits = TRAITS[setting.kind]
    if not traits.paper_prefix:
        return
    slots: tuple[Slot, ...] = get_args(Slot)
    for slot in slots:
        number = setting.slot(slot).account
        if number.startswith(traits.paper_prefix) != (slot == "paper"):
            other = "live" if slot == "paper" else "paper"
            raise InputError(
                f"the {slot} slot names a {other} account",
                file=source.path,
                line=source.line(("venues", venue, slot, "account")),
                expected=f"a {slot} account number ({'' if slot == 'paper' else 'not '}{traits.paper_form})",
                seen=number,
                remedy=f"put the {slot} account's number here",
            )


def _refuse_plain_text(venue: str, setting: VenueSetting, source: YamlSource) -> None:
    slots: tuple[Slot, ...] = get_args(Slot)
    for slot in slots:
        scheme, rest = setting.slot(slot).endpoint.split("//", 1)
        host = rest.split("/")[0].split(":")[0]
        if scheme != "https:" and host not in ("127.0.0.1", "localhost") and not setting.plain_http_reason:
            raise InputError(
                "credentials would cross the network in clear",
                file=source.path,
                line=source.line(("venues", venue, slot, "endpoint")),
                expected="https://",
                seen=f"{scheme}//{host}",
                remedy=f"use https, or say in venues.{venue}.plain_http_reason why not",
            )


def _refuse_missing_keys(venue: str, setting: VenueSetting, hosts: int, source: YamlSource) -> None:
    slots: tuple[Slot, ...] = get_args(Slot)
    for slot in slots:
        name, line = setting.slot(slot).credentials, source.line(("venues", venue, slot))
        if name is None and TRAITS[setting.kind].keyed:
            raise InputError(
                f"venues.{venue}.{slot} names no credentials", file=source.path, line=line,
                expected="the name of a file in the folder of secrets", remedy="add credentials: NAME",
            )  # fmt: skip
        if name is not None and TRAITS[setting.kind].key_per_host and hosts > 1 and "{host}" not in name:
            raise InputError(
                f"{hosts} hosts would share one {setting.kind.capitalize()} key", file=source.path, line=line,
                expected="a key per host", seen=name,
                remedy="write {host} in its name: two users of a key break each other's nonces",
            )  # fmt: skip
    if (setting.paper.credentials is None) == bool(setting.variables.secrets):
        raise InputError(
            f"venues.{venue}.variables and the credentials do not go together", file=source.path,
            line=source.line(("venues", venue, "variables")), expected="a variable for each part of the credentials",
            remedy="name the env variables that carry key and secret; none where there are no credentials",
        )  # fmt: skip


def _refuse_unread_accounts(profile: Profile, source: YamlSource) -> None:
    for venue in profile.mode.accounts:
        if venue not in profile.venues:
            raise InputError(
                f"mode.accounts names {venue!r}, which is no venue of this system",
                file=source.path,
                line=source.line(("mode", "accounts", venue)),
                expected=f"one of: {', '.join(profile.venues)}",
                remedy="use the name that the venue has under venues",
            )


def _refuse_alike_prefixes(profile: Profile, source: YamlSource) -> None:
    hosts = list(profile.hosts.items())
    for name, host in hosts:
        for other, one in hosts:
            if other != name and host.order_prefix.startswith(one.order_prefix):
                raise InputError(
                    f"the orders of {name} and {other} could not be told apart",
                    file=source.path,
                    line=source.line(("hosts", name, "order_prefix")),
                    expected=f"a prefix that does not begin with {one.order_prefix}",
                    seen=host.order_prefix,
                    remedy="give each host's bot a prefix of its own",
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
    errors = error.errors(include_input=False, include_url=False, include_context=False)
    # A key with a slip in its name is an unknown one and a missing one; the unknown one is what somebody wrote.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    place: tuple[Any, ...] = first["loc"]
    name = ".".join(map(str, place))
    kind = str(first["type"])
    example = _example(source, place)
    if kind == "extra_forbidden":
        return InputError(
            f"unknown key {name!r}",
            file=source.path,
            line=source.line(place),
            expected=_meant(place, errors),
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
        expected=re.sub("^(Value error, expected|Input should be) ", "", str(first["msg"])),
        remedy=f"mend it{example}",
    )


def _meant(place: tuple[Any, ...], errors: Iterable[Any]) -> str:
    """The missing key beside it that looks most like an unknown one; empty if none does."""
    missing = [str(one["loc"][-1]) for one in errors if one["type"] == "missing" and one["loc"][:-1] == place[:-1]]
    return next(iter(difflib.get_close_matches(str(place[-1]), missing, 1)), "")


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
