"""What a profile must not share with the other systems of its environment, and what it needs of the files beside it.

The others are read as plain YAML: one that is broken is refused when it is meant itself, and here says what it can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.errors import InputError
from ops.model.profile import Profile
from ops.model.soundness import SLOTS, Complaint
from ops.yaml_source import YamlSource


def clashes(profile: Profile, inventory: Path) -> Iterator[Complaint]:
    """What does not fit the files beside the profile: hosts.yml, people.yml, the other systems."""
    machines = _machines(_read(inventory / "hosts.yml"))
    yield from _unknown_hosts(profile, machines, inventory / "hosts.yml")
    yield from _unheld_roles(profile, _read(inventory / "people.yml"))
    yield from _shared(_claims(profile.model_dump(mode="json"), machines), {})
    for path in sorted((inventory / "systems").glob("*.yml")):
        if path.stem != profile.system:
            others = dict.fromkeys((key for key, _ in _claims(_read(path), machines)), path.stem)
            yield from _shared(_claims(profile.model_dump(mode="json"), machines), others)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = YamlSource(path).value
    except InputError:
        return {}
    return value if isinstance(value, dict) else {}


def _machines(group: Any, everywhere: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Host -> the machine it is: its address, or this one. Groups within groups are walked through."""
    found: dict[str, str] = {}
    if not isinstance(group, dict):
        return found
    known = {**(everywhere or {}), **_mapping(group.get("vars"))}
    for name, own in _mapping(group.get("hosts")).items():
        facts = {**known, **_mapping(own)}
        found[str(name)] = "" if facts.get("ansible_connection") == "local" else str(facts.get("ansible_host", name))
    inner = group.get("children") if "hosts" in group or "children" in group else group
    for child in _mapping(inner).values():
        found |= _machines(child, known)
    return found


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _unknown_hosts(profile: Profile, machines: Mapping[str, str], path: Path) -> Iterator[Complaint]:
    for name in profile.hosts:
        if name not in machines and machines:
            known = f"one of: {', '.join(machines)}"
            yield Complaint(("hosts", name), f"no host {name!r} stands in {path.name}", known,
                            remedy=f"add it to {path}, or correct the name")  # fmt: skip


def _unheld_roles(profile: Profile, people: Mapping[str, Any]) -> Iterator[Complaint]:
    held = {str(role) for one in _mapping(people.get("people")).values() for role in _mapping(one).get("roles") or ()}
    for action in ("go-live", "rearm", "rotate-keys"):
        for role in profile.sign_off.roles(action):
            if held and role not in held:
                known = f"one of: {', '.join(sorted(held))}"
                yield Complaint(("sign_off", action), f"nobody holds the role {role!r}", known,
                                remedy="give it to somebody in people.yml, or correct the name")  # fmt: skip


Key = tuple[str, ...]
Claims = Iterator[tuple[Key, tuple[str, ...]]]


def _claims(profile: Mapping[str, Any], machines: Mapping[str, str]) -> Claims:
    """What must be of one bot alone, and where the profile says it."""
    for name, own in _mapping(profile.get("hosts")).items():
        host, place = _mapping(own), ("hosts", str(name))
        machine = machines.get(str(name), str(name))
        yield ("host", str(name)), place
        for field in ("root", "api"):
            if host.get(field):
                yield (field, machine, str(host[field]).replace("{host}", str(name)).rstrip("/")), (*place, field)
        yield ("order_prefix", str(host.get("order_prefix"))), (*place, "order_prefix")
    for name, venue in _mapping(profile.get("venues")).items():
        for slot in SLOTS:
            account = _mapping(_mapping(venue).get(slot))
            key = ("account", str(account.get("endpoint")).rstrip("/"), str(account.get("account")))
            yield key, ("venues", str(name), slot, "account")


def _shared(claims: Claims, others: Mapping[Key, str]) -> Iterator[Complaint]:
    """What somebody else claims too: another system, or (without others) another part of the same one."""
    own: dict[Key, tuple[str, ...]] = {}
    for key, place in claims:
        if key in others or key in own:
            whose = others.get(key) or ".".join(own[key])
            yield Complaint(place, f"the {key[0]} is that of {whose} too", "one of its own", key[-1],
                            f"give each bot {'an' if key[0][0] in 'aeiou' else 'a'} {key[0]} of its own")  # fmt: skip
        own.setdefault(key, place)
