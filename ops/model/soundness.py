"""What a profile must be beyond its schema: its parts must fit each other, and the venues that they name.

Pure: a `Complaint` names the place in the profile; the door to the inventory adds file and line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ops.model.envfile import unfit
from ops.model.mode import Mode, Switch
from ops.model.profile import Kind, Profile, Readout, Slot, VenueSetting

_LOGIN = re.compile(r"[a-z0-9+]+://[^/@]*:[^/@]+@")

Place = tuple[str | int, ...]
SLOTS: tuple[Slot, ...] = ("paper", "live")
MARKS = ("{state}", "{run}", "{inventory}", "{host}")
HTTP_VERB = re.compile(r"(GET|POST|PUT|PATCH|DELETE) /\S*( \{.*\})?\Z")
FILE_VERB = re.compile(r"WRITE \S+ .+\Z")
# The parts of credentials that a venue knows, and those without which no bot can trade there (venues 2 to 6).
PARTS: Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "alpaca": (("key", "secret"), ("key", "secret")),
    "kraken": (("key", "secret"), ("key", "secret")),
    "kalshi": (("key", "secret"), ("key", "secret")),
    "polymarket": (("key", "secret", "passphrase", "wallet"), ("wallet",)),
    "ibkr": ((), ()),
}
# The form of an account's number where the venue has one form (venues 5.2 and 6.1).
NUMBERS: Mapping[Kind, tuple[str, str]] = {
    "polymarket": (r"0x[0-9a-fA-F]{40}", "0x and 40 hex digits"),
    "ibkr": (r"[A-Z]{1,2}[0-9]+", "letters and digits, as U1234567"),
}


@dataclass(frozen=True)
class Complaint:
    """One thing that does not fit, where it stands, and what to do."""

    place: Place
    problem: str
    expected: str = ""
    seen: str = ""
    remedy: str = "mend it"


def complaints(profile: Profile) -> Iterator[Complaint]:
    """Everything that does not fit, part by part."""
    yield from _addresses(profile)
    for name, venue in profile.venues.items():
        yield from _venue(profile, name, venue)
    for part in (_readouts, _words, _verbs, _brakes, _drills, _paths, _services, _variables, _ramp, _queries, _roles):
        yield from part(profile)


def _without_api(profile: Profile, place: Place) -> Iterator[Complaint]:
    for name, host in profile.hosts.items():
        if host.api is None:
            what = ".".join(map(str, place))
            yield Complaint(place, f"{what} is asked of the bot's API, and {name} has none", f"hosts.{name}.api",
                            remedy="name the API on each host, or use a file")  # fmt: skip


def _readouts(profile: Profile) -> Iterator[Complaint]:
    mode, switch, health = profile.mode, profile.switch, profile.health
    reason = [] if switch.reason_field is None else [(("switch", "reason_field"), switch.reason_field)]
    accounts = [(("mode", "accounts", venue), field) for venue, field in mode.accounts.items()]
    for name, readout, more in (
        ("mode", mode.readout, accounts), ("switch", switch.readout, reason), ("health", health.readout, []),
    ):  # fmt: skip
        place: Place = (name, "readout")
        if readout.path is not None:
            if not readout.path.startswith("/"):
                yield Complaint((*place, "path"), f"{name}.readout.path is no path", "/...", readout.path)
            yield from _without_api(profile, place)
        else:
            yield from _pattern(readout, place, [((*place, "field"), readout.field), *more])


def _pattern(readout: Readout, place: Place, fields: list[tuple[Place, str]]) -> Iterator[Complaint]:
    where = (*place, "pattern")
    try:
        groups = {*re.compile(readout.pattern or "").groupindex, "age_s"}
    except re.error as error:
        yield Complaint(where, f"{'.'.join(map(str, where))} is no regular expression", seen=str(error))
        return
    for field_place, field in fields:
        if field not in groups:
            known = f"one of: {', '.join(sorted(groups))}"
            yield Complaint(field_place, f"the pattern has no group named {field!r}", known,
                            remedy=f"write (?P<{field}>...) around it in the pattern, or correct the name")  # fmt: skip


def _words(profile: Profile) -> Iterator[Complaint]:
    mode, switch = profile.mode.words, profile.switch.words
    for name, words, needed in (
        ("mode", mode.values(), (Mode.PAPER, Mode.LIVE)), ("switch", switch.values(), (Switch.ARMED, Switch.TRIPPED)),
    ):  # fmt: skip
        for meaning in needed:
            if meaning not in words:
                yield Complaint((name, "words"), f"no word of {name}.words means {meaning}",
                                "WORD OF THE BOT: " + str(meaning), remedy="add the bot's own word for it")  # fmt: skip


def _verbs(profile: Profile) -> Iterator[Complaint]:
    switch = profile.switch
    if (switch.trip is None) != (switch.rearm is None):
        yield Complaint(("switch",), "a bot that has only one of trip and rearm", "both, or neither",
                        remedy="without a switch of its own leave both out: the gate file is the verb")  # fmt: skip
    if switch.trip is None and switch.reason_field is not None:
        yield Complaint(("switch", "reason_field"), "reason_field without trip", "trip and rearm beside it",
                        remedy="leave it out: without a switch the gate file says the reason")  # fmt: skip
    for name, verb in (("trip", switch.trip), ("rearm", switch.rearm)):
        if verb is not None:
            yield from _verb(profile, ("switch", name), verb)


def _verb(profile: Profile, place: Place, verb: str) -> Iterator[Complaint]:
    name = ".".join(map(str, place))
    if HTTP_VERB.match(verb):
        yield from _without_api(profile, place)
    elif not FILE_VERB.match(verb):
        yield Complaint(place, f"{name} cannot be carried out", "POST /path?x={reason}, or WRITE file text", verb)
    elif not _inside(verb.split(" ")[1]):
        yield _leads_out(place, verb.split(" ")[1])


def _brakes(profile: Profile) -> Iterator[Complaint]:
    brakes, trip = profile.brakes, profile.switch.trip or ""
    if len(set(brakes)) != len(brakes):
        yield Complaint(("brakes",), "a brake stands twice", "each once", ", ".join(brakes))
    if "api" in brakes and not HTTP_VERB.match(trip):
        yield Complaint(("brakes",), "the api brake has no call", "switch.trip: POST /...",
                        remedy="add the call, or leave out api")  # fmt: skip


def _drills(profile: Profile) -> Iterator[Complaint]:
    for name, drill in profile.drills.items():
        place: Place = ("drills", name)
        yield from _verb(profile, (*place, "call"), drill.call)
        if drill.call.startswith("WRITE ") and not _is_object(drill.call.split(" ", 2)[-1]):
            yield Complaint(
                (*place, "call"), f"what drills.{name}.call writes is no JSON object", 'WRITE file {"a": 1}'
            )
        if not (drill.until or drill.expect or drill.at_least):
            yield Complaint(place, f"drills.{name} expects nothing", "until, expect or at_least",
                            remedy="say what must follow: what cannot fail proves nothing")  # fmt: skip


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _inside(path: str) -> bool:
    return not path.startswith(("/", "~")) and ".." not in path.split("/")


def _leads_out(place: Place, path: str) -> Complaint:
    return Complaint(place, f"{'.'.join(map(str, place))} leads out of the bot's folder", "a path under root", path)


def _paths(profile: Profile) -> Iterator[Complaint]:
    under: dict[Place, str] = {(name,): getattr(profile, name) for name in ("release", "env_file", "gate_file")}
    under |= {} if profile.service.file is None else {("service", "file"): profile.service.file}
    under |= {("records", "database"): profile.records.database, ("records", "log", "path"): profile.records.log.path}
    for name in ("mode", "switch", "health"):
        under |= {(name, "readout", "file"): getattr(profile, name).readout.file or "."}
    yield from (_leads_out(place, path) for place, path in under.items() if not _inside(path))
    if "{mode}" not in profile.records.database:
        yield Complaint(("records", "database"), "paper and live would share one database", "{mode} in its name",
                        profile.records.database, "keep what was done on paper apart from the rest")  # fmt: skip
    whole: dict[Place, str] = {("hosts", name, "root"): host.root for name, host in profile.hosts.items()}
    whole |= {} if profile.service.socket is None else {("service", "socket"): profile.service.socket}
    whole |= {("documents", name, "path"): document.path for name, document in profile.documents.items()}
    for place, path in whole.items():
        if not path.startswith(("/", *MARKS[:3])) or set(re.findall(r"\{\w*\}", path)) - set(MARKS):
            yield Complaint(place, f"{'.'.join(map(str, place))} is no whole path",
                            f"/..., or one that begins with {', '.join(MARKS[:3])}", path)  # fmt: skip


def _services(profile: Profile) -> Iterator[Complaint]:
    names = (profile.service.name, *profile.service.also)
    if len(set(names)) != len(names):
        yield Complaint(("service", "also"), "a service stands twice", "each once", ", ".join(names))
    real = profile.service.manager != "supervisord"
    if real and not re.match(r"interlock/[^/]+\Z", profile.gate_file):
        yield Complaint(("gate_file",), "the bot's own user could lift its gate", "interlock/gate", profile.gate_file,
                        "keep the gate in the folder that belongs to root")  # fmt: skip
    if profile.service.start_gated and profile.switch.trip is not None and profile.switch.reason_field is None:
        yield Complaint(("service", "start_gated"), "a bot with a switch of its own that starts without a reason",
                        "switch.reason_field", remedy="name it: nobody else's halt may go with the gate")  # fmt: skip


def _variables(profile: Profile) -> Iterator[Complaint]:
    """Each env variable has one source, and its value is one that every reader of env files reads alike."""
    seen: dict[str, Place] = {}
    for place, name, values in _assignments(profile):
        if name in seen:
            yield Complaint(place, f"the variable {name} stands twice", "one source for each variable",
                            f"also as {'.'.join(map(str, seen[name]))}")  # fmt: skip
        seen.setdefault(name, place)
        for value in values:
            problem = unfit(name, value)
            if problem:
                yield Complaint(place, problem, "no space, no quote, none of # $ \\ & ; | < > ( ) ~")
            if _LOGIN.match(value):
                yield Complaint(place, f"the value of {name} holds a password, and a profile is shown to everybody",
                                f"own_secrets: [{name}], and the value in the hosts' {profile.env_file}")  # fmt: skip


def _assignments(profile: Profile) -> Iterator[tuple[Place, str, tuple[str, ...]]]:
    for name, two in profile.mode.variables.items():
        yield ("mode", "variables", name), name, (two.paper, two.live)
    yield ("size", "variable"), profile.size.variable, ()
    for name, limit in profile.limits.wired().items():
        own = ("own",) if name in profile.limits.own else ()
        yield ("limits", *own, name), limit.variable, ()
    for name, venue in profile.venues.items():
        for part, variable in venue.variables.model_dump(exclude_none=True).items():
            both = (getattr(venue.paper, part), getattr(venue.live, part)) if part in ("endpoint", "account") else ()
            yield ("venues", name, "variables", part), variable, both
    for number, name in enumerate(profile.own_secrets):
        yield ("own_secrets", number), name, ()
    own_places: dict[str, tuple[Place, list[str]]] = {}
    for host_name, host in profile.hosts.items():
        for variable, value in host.variables.items():
            own_places.setdefault(variable, (("hosts", host_name, "variables", variable), []))[1].append(value)
    yield from ((place, variable, tuple(values)) for variable, (place, values) in own_places.items())


def _ramp(profile: Profile) -> Iterator[Complaint]:
    last = 0
    for number, row in enumerate(profile.ramp):
        if row.stage != f"live-{number + 1}":
            yield Complaint(
                ("ramp", number, "stage"), "the ramp's stages are not in order", f"live-{number + 1}", row.stage
            )
        if row.size_pct < last:
            yield Complaint(("ramp", number, "size_pct"), "the ramp goes down", f"at least {last}", str(row.size_pct))
        last = row.size_pct


def _queries(profile: Profile) -> Iterator[Complaint]:
    for name in ("loops", "decisions", "orders", "fills"):
        text = getattr(profile.records, name)
        if not re.match(r"(?is)\s*(select|with)\b", text) or ":since" not in text:
            yield Complaint(("records", name), f"records.{name} is no query of what is new", "select ... >= :since ...")


def _roles(profile: Profile) -> Iterator[Complaint]:
    for action in ("go-live", "rearm", "rotate-keys"):
        roles = profile.sign_off.roles(action)
        if len(set(roles)) != len(roles):
            yield Complaint(("sign_off", action), f"a role stands twice in sign_off.{action}", "each once",
                            ", ".join(roles), "name one role for each person who must sign")  # fmt: skip


def _venue(profile: Profile, name: str, venue: VenueSetting) -> Iterator[Complaint]:
    known, needed = PARTS[venue.kind]
    given = [part for part in ("key", "secret", "passphrase", "wallet") if getattr(venue.variables, part)]
    for part in [part for part in given if part not in known] + [part for part in needed if part not in given]:
        place: Place = ("venues", name, "variables") + ((part,) if part in given else ())
        yield Complaint(place, f"{'no' if part in given else 'a'} {part} is what a bot at {venue.kind} needs",
                        f"variables for: {', '.join(needed) or 'none'}")  # fmt: skip
    for slot in SLOTS:
        yield from _account(("venues", name, slot), venue, slot)
    if venue.kind == "kraken":
        for host, own in profile.hosts.items():
            if not re.fullmatch(r"[a-z0-9]{1,8}", own.order_prefix):
                yield Complaint(("hosts", host, "order_prefix"), "Kraken takes no such client order id",
                                "at most 8 lower-case letters and digits", own.order_prefix)  # fmt: skip


def _addresses(profile: Profile) -> Iterator[Complaint]:
    urls: dict[Place, str] = {("hosts", name, "api"): host.api or "" for name, host in profile.hosts.items()}
    urls |= {
        ("venues", name, slot, "endpoint"): venue.slot(slot).endpoint
        for name, venue in profile.venues.items()
        for slot in SLOTS
    }
    for place, url in urls.items():
        port = re.search(r"://[^/:]+:(\d+)", url)
        if port and not 0 < int(port[1]) < 65536:
            yield Complaint(place, f"{'.'.join(map(str, place))} has no such port", "1 to 65535", port[1])


def _account(place: Place, venue: VenueSetting, slot: Slot) -> Iterator[Complaint]:
    account, socket = venue.slot(slot), venue.kind == "ibkr"
    form = r"tcp://[^/:]+:\d+" if socket else r"https?://.+"
    if not re.fullmatch(form, account.endpoint):
        form = "tcp://HOST:PORT" if socket else "https://HOST"
        yield Complaint((*place, "endpoint"), f"{venue.kind} is not reached there", form, account.endpoint)
    pattern, number = NUMBERS.get(venue.kind, ("", ""))
    if pattern and not re.fullmatch(pattern, account.account):
        yield Complaint((*place, "account"), f"no account number of {venue.kind}", number, account.account)
