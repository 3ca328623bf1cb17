"""Hand-made sights: one in which everything holds, as the host program and the venue would show it, to be spoilt."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from ops.checklist import by_hand
from ops.checks.sight import Sight
from ops.doors import Doors
from ops.hosts.ansible import PLAYBOOKS
from ops.hosts.fleet import Fleet
from ops.hosts.reply import Reply
from ops.inventory import Person, Place, load_environment, load_profile
from ops.ledger.store import Ledger
from ops.model.canonical import digest, utc_text
from ops.model.history import History
from ops.model.outcome import Finding
from ops.model.profile import Slot
from ops.secrets import Secrets, fingerprint
from ops.venues.protocol import AccountView, FillView, KeyView, OrderView, StatusView, Window
from tests.field import ROOT

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAYS = [(NOW - timedelta(days=n)).date().isoformat() for n in range(7, 0, -1)]
KEYS: Mapping[Slot, tuple[str, str]] = {
    "paper": ("PKPAPERPAPER", "paper-secret-0001"),
    "live": ("AKLIVELIVE00", "live-secret-00001"),
}
ACCOUNTS: Mapping[Slot, str] = {"paper": "PA3SANDBOX01", "live": "912345678"}
RIGHTS = KeyView(None, may_trade=True, may_withdraw=False)
SESSION = Window("session", NOW + timedelta(hours=3), NOW + timedelta(hours=9), "2026-11-20 09:30 to 16:00")
HELPER = digest((PLAYBOOKS / "library" / "interlock_host.py").read_text())
FILLED_AT = NOW - timedelta(hours=20)


def doors(folder: Path) -> Doors:
    """The shipped profile over folders of the test's own; every address in it is closed."""
    place = Place("sandbox", ROOT / "inventory" / "sandbox", folder / "state")
    profile, secrets = load_profile(place, "alpaca-bot"), Secrets(folder / "secrets")
    for slot, (key, secret) in KEYS.items():
        secrets.put(f"alpaca-{slot}", {"key": key, "secret": secret})
    secrets.store(secrets.folder / "fingerprint.salt", "salt\n")
    secrets.store(secrets.folder / "grafana-token.token", "grafana-token\n")
    document = place.path(profile.documents["emergency_contacts"].path)
    document.parent.mkdir(parents=True)
    document.write_text("# Emergency\nReviewed: 2026-11-01\n## Who to call\nThe desk\n## In what order\nTop down\n")
    ledger = Ledger(folder / "state" / "ledger.sqlite", "tester", lambda: NOW)
    fleet = Fleet(place, profile, "salt")
    people = {"ana": Person(roles=("risk",)), "raj": Person(roles=("operator",))}
    return Doors(place, load_environment(place), profile, people, ledger, fleet, secrets, "tester", clock=lambda: NOW)


def look(opened: Doors, host: str, slot: Slot) -> dict[str, Any]:
    """What a healthy host shows, with a clean week behind it."""
    texts = opened.fleet.env_texts(slot, 100 if slot == "paper" else 50, opened.bot_credentials(slot))
    values = dict(line.split("=", 1) for line in texts[host].splitlines())
    shown = {name: values.get(name) for name in opened.profile.shown_variables()}
    fingerprints = {name: fingerprint(values[name], "salt") for name in opened.profile.secret_variables()}
    port = opened.profile.hosts[host].api.rsplit(":", 1)[1]
    return {
        "env": {
            "problems": [],
            "unknown_keys": [],
            "variables": shown,
            "fingerprints": fingerprints,
            "sha256": "e" * 64,
        },
        "loaded": {"variables": dict(shown), "fingerprints": dict(fingerprints)},
        "process": {"state": "RUNNING", "pid": 4711, "listening": [f"127.0.0.1:{port}"]},
        "api": {
            "mode": {"mode": slot, "account": ACCOUNTS[slot]},
            "switch": {"status": "OFF", "reason": "re-armed"},
            "health": {"loop_age_s": 0.5},
        },
        "gate": None,
        "deadline": None,
        "release_sha256": "f" * 64,
        "disk": {"free_bytes": 50_000_000_000},
        "secret_in_argv_pids": [],
        "secret_in_release_files": [],
        "at": utc_text(NOW),
        "unit_sha256": None,
        "instances": {"expected": [4711], "strays": []},
        "machine": {"id": "a" * 16, "root": f"/srv/{host}", "python": "3.11.2", "utc_offset_s": 0},
        "helper": {"sha256": HELPER},
        "watcher": {"at": utc_text(NOW)},
        "evidence": evidence(host),
    }


def evidence(host: str) -> dict[str, Any]:
    """A bot's records: loops each hour, one order and its fill."""
    order, at = f"order-of-{host}", utc_text(FILLED_AT)
    day = {"errors": 0, "modes": ["paper"], "gap_max_s": 3600, "loops": 24}
    client = f"a{host[-1]}-p-1"
    fill = {
        "order_id": order, "client_order_id": client, "symbol": "AAPL", "side": "buy", "qty": "2", "price": "190.05",
        "reference_price": "190.00", "at": at,
    }  # fmt: skip
    return {
        "loops": {d: {**day, "first_at": f"{d}T00:00:00.000000Z", "last_at": f"{d}T23:30:00.000000Z"} for d in DAYS},
        "log": {"first_at": f"{DAYS[0]}T00:00:00.000000Z", "last_at": utc_text(NOW), "lines": 500, "exceptions": []},
        "decisions": [{"at": at, "outcome": "order", "client_order_id": client}],
        "orders": [{"client_order_id": client, "order_id": order, "at": at, "mode": "paper", "symbol": "AAPL"}],
        "fills": [fill],
    }


def fill(host: str, **changes: Any) -> FillView:
    """What the venue shows of the same fill."""
    facts = {"id": f"fill-of-{host}", "order_id": f"order-of-{host}", "symbol": "AAPL", "side": "buy"}
    return FillView(**{**facts, "qty": Decimal(2), "price": Decimal("190.05"), "at": FILLED_AT, **changes})


def account(slot: Slot, **changes: Any) -> AccountView:
    money = {"equity_usd": Decimal(25000), "cash_usd": Decimal(20000), "last_equity_usd": Decimal(24950)}
    facts = {"number": ACCOUNTS[slot], "paper": slot == "paper", "blocked": False, "suspended": False, **money}
    return AccountView(**{**facts, **changes})


def open_order(client_id: str, **changes: Any) -> OrderView:
    facts = {"id": f"id-{client_id}", "client_id": client_id, "symbol": "AAPL", "side": "buy", "qty": Decimal(1)}
    facts |= {"status": "new", "open": True, "submitted_at": NOW - timedelta(minutes=5)}
    return OrderView(**{**facts, **changes})


def history(opened: Doors, slot: Slot) -> History:
    """A past with every drill passed yesterday, a fresh attestation and a tested live key."""
    past = History("alpaca-bot", stage="live-1" if slot == "live" else "paper")
    at = utc_text(NOW - timedelta(days=1))
    for name in ("drill/replay", "drill/alert"):
        past.evidence[name] = {"outcome": "pass", "seen": "as expected", "at": at, "release": "f" * 64}
    past.evidence["attestation/pnl_report"] = {"outcome": "pass", "person": "raj", "at": utc_text(NOW)}
    past.evidence["attestation/by-hand"] = {"person": "raj", "list": by_hand("alpaca-bot")[1], "at": utc_text(NOW)}
    past.evidence["paper_baseline"] = {"outcome": "pass", "slippage_bps": "2.500", "at": at}
    mark = opened.credentials("alpaca", "live").fingerprint("salt")
    past.keys += [{"slot": "live", "fingerprint": mark, "state": state, "at": at} for state in ("pending", "tested")]
    return past


def sight(opened: Doors, slot: Slot = "paper", **asked: Any) -> Sight:
    """The good sight. `asked` replaces what the venue answered, as in `fills_paper=[...]`."""
    replies = {h: Reply(h, True, True, look=look(opened, h, slot)) for h in opened.profile.hosts}
    answers: dict[str, Any] = {}
    for name in ("paper", "live"):
        at = f"alpaca/{name}"
        answers |= {f"account/{at}": account(name), f"orders/{at}": [], f"positions/{at}": []}  # type: ignore[arg-type]
        answers |= {f"fills/{at}": [fill(host) for host in opened.profile.hosts], f"key/{at}": RIGHTS}
        answers |= {f"status/{at}": StatusView("open", "is_open True"), f"windows/{at}": [SESSION]}
    answers |= {place(name): value for name, value in asked.items()}
    since = NOW - timedelta(days=8)
    return Sight(opened, NOW, since, replies, history(opened, slot), answers, asked=NOW)


def place(name: str) -> str:
    """`fills_paper` as the sight calls it."""
    what, slot = name.split("_")
    return f"{what}/alpaca/{slot}"


def spoilt(good: Sight, host: str, path: tuple[str, ...], value: Any = None, *, gone: bool = False) -> Sight:
    """The same sight with one thing changed, or gone, on one host."""
    changed = copy.deepcopy(dict(good.replies[host].look))
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    if gone:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    replies = {**good.replies, host: Reply(host, True, True, look=changed)}
    return Sight(good.doors, good.at, good.since, replies, good.history, dict(good._asked), good.asked)


def dark(good: Sight, *hosts: str) -> Sight:
    """The same sight with these hosts silent."""
    replies = {name: Reply.dark(name, "unreachable") if name in hosts else r for name, r in good.replies.items()}
    return Sight(good.doors, good.at, good.since, replies, good.history, dict(good._asked), good.asked)


def outcome(finding: Finding) -> str:
    return str(finding.outcome)
