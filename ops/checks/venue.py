"""What the venue itself says about account, key, money and orders."""

from __future__ import annotations

from ops.checks.sight import Params, Sight
from ops.errors import VenueError
from ops.model.outcome import Finding
from ops.model.profile import Slot

LIVE: Slot = "live"
PAPER: Slot = "paper"


def _slot(sight: Sight, params: Params) -> Slot:
    """The slot that a probe names; without a name, or with `in force`, the one in force."""
    given = params.get("env") or params.get("slot") or "in force"
    return {"live": LIVE, "paper": PAPER}.get(given, sight.slot)


def auth(sight: Sight, params: Params) -> Finding:
    """A signed read succeeds and shows exactly the pinned account."""
    slot = _slot(sight, params)
    pinned = sight.profile.venue.slot(slot).account
    try:
        account = sight.account(slot)
    except VenueError as error:
        if error.status in (401, 403):
            return sight.finding(
                "venue.auth", False, f"the {slot} key is refused (HTTP {error.status})", f"account {pinned}",
                "is it the other environment's key, or revoked? put the right pair in place: invoke rotate-keys",
            )  # fmt: skip
        raise
    ok = account.number == pinned and not account.blocked
    seen = f"account {account.number}{' BLOCKED' if account.blocked else ''}"
    return sight.finding("venue.auth", ok, seen, f"account {pinned}", "" if ok else "check venue.live in the profile")


def key_class(sight: Sight, params: Params) -> Finding:
    """The key belongs to its slot by the venue's answer, and differs from the other slot's and from all former keys."""
    slot = _slot(sight, params)
    account = sight.account(slot)
    salt = sight.doors.secrets.salt()
    mine = sight.doors.credentials(slot).fingerprint(salt)
    other: Slot = "paper" if slot == "live" else "live"
    problems = (
        []
        if account.paper == (slot == "paper")
        else [f"the {slot} key opens a {'paper' if account.paper else 'live'} account"]
    )
    if sight.doors.secrets.has(sight.profile.venue.slot(other).credentials):
        problems += (
            ["the same key is in both slots"] if sight.doors.credentials(other).fingerprint(salt) == mine else []
        )
    former = {
        k["fingerprint"] for k in sight.history.keys if k["slot"] == slot and k["state"] in ("previous", "revoked")
    }
    problems += ["this key was in use before"] if mine in former else []
    return sight.finding(
        "venue.key_class", not problems, "; ".join(problems) or f"{slot} key {mine}", f"a fresh {slot} key"
    )


def funded(sight: Sight, params: Params) -> Finding:
    """The account holds the planned capital."""
    slot, least = _slot(sight, params), sight.profile.evidence.capital_min_usd
    equity = sight.account(slot).equity_usd
    return sight.finding("venue.funded", equity >= least, f"{equity} USD", f"at least {least} USD")


def open_orders(sight: Sight, params: Params) -> Finding:
    """Every open order belongs to one of the bots; foreign ones are named. With `expect: none` every one is foreign."""
    orders = sight.open_orders(_slot(sight, params))
    prefixes = tuple(host.order_prefix for host in sight.profile.hosts.values())
    ours = [o for o in orders if o.client_id.startswith(prefixes) and params.get("expect") != "none"]
    foreign = [f"{o.symbol} {o.side} {o.qty} ({o.client_id})" for o in orders if o not in ours]
    seen = f"{len(orders)} open, {len(foreign)} not ours" + (f": {', '.join(foreign)}" if foreign else "")
    remedy = "find out whose orders these are; cancel them or use an account of its own" if foreign else ""
    return sight.finding("venue.open_orders", not foreign, seen, "only our own orders", remedy)


def portfolio(sight: Sight, params: Params) -> Finding:
    """Positions are readable; flat if that is what is expected."""
    positions = sight.positions(sight.slot)
    seen = ", ".join(f"{p.symbol} {p.qty}" for p in positions) or "flat"
    return sight.finding(
        "venue.portfolio",
        not positions or params.get("expect") != "flat",
        seen,
        params.get("expect", "readable"),
    )
