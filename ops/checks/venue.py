"""What the venues themselves say about account, key, money, orders and hours.

Every probe here asks each venue of the system, or those that `venue` or `venues` names. One that does not answer makes
the finding unknown and hides nothing that another one showed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ops.checks.sight import Params, Sight
from ops.errors import InputError, VenueError
from ops.model.outcome import Finding
from ops.model.profile import Slot

LIVE: Slot = "live"
PAPER: Slot = "paper"
# How far ahead a calendar is asked, and how near a maintenance may be.
AHEAD = timedelta(days=7)
CLEAR = timedelta(minutes=30)

# Whether one venue's part holds (None: it does not say), what was seen there, and what to do.
Part = tuple[bool | None, str, str]


def named_venues(sight: Sight, params: Params) -> list[str]:
    """The venues that a probe names, else all. Raises InputError for one that the profile does not have."""
    given = params.get("venues") or params.get("venue") or list(sight.profile.venues)
    names = [given] if isinstance(given, str) else list(given)
    strange = [name for name in names if name not in sight.profile.venues]
    if strange:
        raise InputError(f"the profile has no venue {strange[0]}", expected=", ".join(sight.profile.venues))
    return names


def slot_of(sight: Sight, params: Params) -> Slot:
    """The slot that a probe names; without a name, or with `in force`, the one in force."""
    given = params.get("env") or params.get("slot") or "in force"
    return {"live": LIVE, "paper": PAPER}.get(given, sight.slot)


def _other(slot: Slot) -> Slot:
    return "paper" if slot == "live" else "live"


def _each(sight: Sight, params: Params, check: str, expected: str, part: Callable[[str], Part]) -> Finding:
    """One finding over all venues asked: a fail if one fails, else unknown if one does not say."""
    parts = {venue: _part(part, venue) for venue in named_venues(sight, params)}
    holds = [ok for ok, _, _ in parts.values()]
    ok = False if False in holds else None if None in holds else True
    several = len(sight.profile.venues) > 1
    seen = "; ".join(f"{venue}: {text}" if several else text for venue, (_, text, _) in parts.items())
    return sight.finding(check, ok, seen, expected, "; ".join(dict.fromkeys(r for _, _, r in parts.values() if r)))


def _part(part: Callable[[str], Part], venue: str) -> Part:
    try:
        return part(venue)
    except VenueError as error:
        return None, str(error), ""


def auth(sight: Sight, params: Params) -> Finding:
    """A signed read succeeds and shows exactly the pinned account; so does one with each bot's own key, unless the
    bots use it at this moment (`bot_keys: false`, or the slot in force): at Kraken two users of a key disturb each
    other's nonces (venues 3.2)."""
    slot = slot_of(sight, params)

    def part(venue: str) -> Part:
        pinned = sight.profile.venues[venue].slot(slot).account
        try:
            account = sight.account(venue, slot)
            seen = [account.number, *(_by_bot_keys(sight, venue, slot) if params.get("bot_keys", True) else [])]
        except VenueError as error:
            if error.status not in (401, 403):
                raise
            remedy = "is it the other environment's key, or revoked? put the right pair in place: invoke rotate-keys"
            return False, f"the {slot} key is refused (HTTP {error.status})", remedy
        wrong = [number for number in seen if number != pinned]
        text = f"account {wrong[0] if wrong else account.number}{' BLOCKED' if account.blocked else ''}"
        ok = not wrong and not account.blocked
        return ok, text, "" if ok else f"check venues.{venue}.{slot} in the profile"

    return _each(sight, params, "venue.auth", _pinned(sight, params, slot), part)


def _pinned(sight: Sight, params: Params, slot: Slot) -> str:
    accounts = [sight.profile.venues[venue].slot(slot).account for venue in named_venues(sight, params)]
    return f"account {', '.join(accounts)}"


def _by_bot_keys(sight: Sight, venue: str, slot: Slot) -> list[str]:
    """The account as each bot's own key opens it, where Interlock itself reads with another one."""
    account, doors = sight.profile.venues[venue].slot(slot), sight.doors
    if slot == sight.slot or account.observer is None:
        return []
    hosts = {name: host for host, name in sight.profile.bot_keys(venue, slot).items()}
    return [
        sight.once(
            f"bot-account/{name}",
            lambda host=host: doors.bot_reader(  # type: ignore[misc]
                venue, slot, doors.credentials(venue, slot, host=host)
            ).account().number,
        )
        for name, host in hosts.items()
    ]  # fmt: skip


def account(sight: Sight, params: Params) -> Finding:
    """The account is the pinned one, its number has the form that the probe wants, and it is of the slot's kind."""
    slot = slot_of(sight, params)
    wanted, denied = (tuple(params.get(name) or ()) for name in ("expect_prefix", "deny_prefix"))

    def part(venue: str) -> Part:
        view, pinned = sight.account(venue, slot), sight.profile.venues[venue].slot(slot).account
        problems = [] if view.number == pinned else [f"it is not the pinned {pinned}"]
        problems += ["it has another form"] if wanted and not view.number.startswith(wanted) else []
        problems += ["it has the form of the other slot"] if denied and view.number.startswith(denied) else []
        problems += _of_other_slot(view.paper, slot)
        return not problems, "; ".join([f"account {view.number}", *problems]), ""

    return _each(sight, params, "venue.account", _pinned(sight, params, slot), part)


def _of_other_slot(paper: bool | None, slot: Slot) -> list[str]:
    """A venue that does not tell paper from live proves nothing by that: there the pinned number must do."""
    return (
        [] if paper in (None, slot == "paper") else [f"the {slot} key opens a {'paper' if paper else 'live'} account"]
    )


def session_mode(sight: Sight, params: Params) -> Finding:
    """The session is of the mode that is wanted, by the account behind it; a port is a hint and proves nothing."""
    wanted = params.get("expect") or sight.slot
    slot: Slot = LIVE if wanted == LIVE else PAPER

    def part(venue: str) -> Part:
        view, setting = sight.account(venue, slot), sight.profile.venues[venue].slot(slot)
        problems = _of_other_slot(view.paper, slot)
        problems += [] if view.number == setting.account else [f"account {view.number} is not the pinned one"]
        return not problems, "; ".join(problems) or f"{slot}: account {view.number} at {setting.endpoint}", ""

    return _each(sight, params, "venue.session_mode", f"a {slot} session", part)


def key_class(sight: Sight, params: Params) -> Finding:
    """The key belongs to its slot by the venue's answer, and differs from the other slot's and from all former keys."""
    slot = slot_of(sight, params)

    def part(venue: str) -> Part:
        view, pinned = sight.account(venue, slot), sight.profile.venues[venue].slot(slot).account
        problems = _of_other_slot(view.paper, slot)
        problems += [] if view.number == pinned else [f"the {slot} key opens account {view.number}"]
        marks, others = _marks(sight, venue, slot), _marks(sight, venue, _other(slot))
        former = {k["fingerprint"] for k in sight.history.keys if k["state"] in ("previous", "revoked")}
        missing = [n for n in sight.profile.bot_keys(venue, slot).values() if not sight.doors.secrets.has(n)]
        problems += [f"no {name} is stored" for name in missing]
        problems += ["the same key is in both slots"] if marks & others else []
        problems += ["this key was in use before"] if marks & former else []
        return not problems, "; ".join(problems) or f"{slot} key {', '.join(sorted(marks)) or 'not needed'}", ""

    return _each(sight, params, "venue.key_class", f"a fresh {slot} key", part)


def _marks(sight: Sight, venue: str, slot: Slot) -> set[str]:
    """The fingerprints of the bots' keys of a slot, as far as they are there."""
    secrets, salt = sight.doors.secrets, sight.doors.secrets.salt()
    names = sight.profile.bot_keys(venue, slot).values()
    return {secrets.credentials(name).fingerprint(salt) for name in names if secrets.has(name)}


def key_permissions(sight: Sight, params: Params) -> Finding:
    """The bot's key may trade and may not withdraw. What the venue does not say is unknown."""
    slot = slot_of(sight, params)

    def part(venue: str) -> Part:
        view = sight.once(f"key/{venue}/{slot}", lambda: sight.doors.reader(venue, slot).key())
        said = ", ".join(sorted(view.permissions)) if view.permissions is not None else "no list of rights"
        said += "".join(f", {word}" for ok, word in ((view.may_trade, "may trade"), (view.may_withdraw, "MAY WITHDRAW"))
                        if ok)  # fmt: skip
        bad = view.may_trade is False or view.may_withdraw is True
        known = view.may_trade is not None and view.may_withdraw is not None
        return (False if bad else True if known else None), said, "make a key without that right" if bad else ""

    return _each(sight, params, "venue.key_permissions", "may trade, may not withdraw", part)


def funded(sight: Sight, params: Params) -> Finding:
    """Each account holds the planned capital."""
    slot, least = slot_of(sight, params), sight.profile.evidence.capital_min_usd

    def part(venue: str) -> Part:
        equity = sight.account(venue, slot).equity_usd
        return equity >= least, f"{equity} USD", ""

    return _each(sight, params, "venue.funded", f"at least {least} USD", part)


def open_orders(sight: Sight, params: Params) -> Finding:
    """Every open order belongs to one of the bots; foreign ones are named. With `expect: none` every one is foreign."""
    slot, none_wanted = slot_of(sight, params), str(params.get("expect")) in ("none", "0")

    def part(venue: str) -> Part:
        orders, ours = sight.open_orders(venue, slot), sight.doors.own_orders(venue, slot)
        foreign = [
            f"{o.symbol} {o.side} {o.qty} ({sight.doors.order_name(venue, o)})"
            for o in orders
            if none_wanted or not o.client_id.startswith(ours)
        ]
        counted = f"{len(orders)} open" + ("" if none_wanted else f", {len(foreign)} not ours")
        seen = counted + (f": {', '.join(foreign)}" if foreign else "")
        remedy = "find out whose orders these are; cancel them or use an account of its own" if foreign else ""
        return not foreign, seen, remedy

    return _each(sight, params, "venue.open_orders", "no order" if none_wanted else "only our own orders", part)


def portfolio(sight: Sight, params: Params) -> Finding:
    """Positions are readable; flat if that is what is expected."""
    slot, expected = slot_of(sight, params), str(params.get("expect", "readable"))

    def part(venue: str) -> Part:
        positions = sight.positions(venue, slot)
        seen = ", ".join(f"{p.symbol} {p.qty}" for p in positions) or "flat"
        return not positions or expected != "flat", seen, ""

    return _each(sight, params, "venue.portfolio", expected, part)


def status(sight: Sight, params: Params) -> Finding:
    """The venue works by its own word: open, or closed as its hours have it; no halt, maintenance or cancel-only."""
    slot = slot_of(sight, params)

    def part(venue: str) -> Part:
        view = sight.status(venue, slot)
        known = None if view.state == "unknown" else view.state in ("open", "closed")
        return known, f"{view.state} ({view.said})", "" if known else "wait until the venue is itself again"

    return _each(sight, params, "venue.status", "open, or closed by its hours", part)


def calendar(sight: Sight, params: Params) -> Finding:
    """The venue's own calendar shows sessions ahead, and neither maintenance nor restart now or in the next minutes."""
    slot = slot_of(sight, params)

    def part(venue: str) -> Part:
        windows = sight.once(
            f"windows/{venue}/{slot}", lambda: sight.doors.reader(venue, slot).windows(sight.at, sight.at + AHEAD)
        )
        counts = sight.profile.venues[venue].restarts
        ahead = [w for w in windows if w.ends > sight.at]
        near = [w for w in ahead if w.kind in ("maintenance", "restart") and w.begins < sight.at + CLEAR]
        danger = [w for w in near if w.told or counts]
        sessions = [w for w in ahead if w.kind == "session"]
        if danger:
            return (
                False,
                f"{danger[0].kind} from {danger[0].begins:%Y-%m-%d %H:%M}Z: {danger[0].said}",
                "wait for its end",
            )
        seen = f"{len(sessions)} sessions in {AHEAD.days} days" + (f", next {sessions[0].said}" if sessions else "")
        return bool(sessions) or None, seen, ""

    return _each(sight, params, "venue.calendar", "sessions, and no maintenance near", part)


def conditions(sight: Sight, params: Params) -> Finding:
    """Nothing at the venue itself is out of order. An index (VIX) is shown by no venue: a person must attest it."""
    found = status(sight, params)
    if "index" in params and str(found.outcome) == "pass":
        return sight.finding(
            "venue.conditions", None, f"{found.seen}; {params['index']} is shown by no venue here", found.expected,
            "answer it with an attestation",
        )  # fmt: skip
    return Finding("venue.conditions", found.outcome, found.seen, found.at, found.expected, found.remedy)
