"""The bot's record of all it decided, sent and got: one SQLite database per mode and account.

Times are ISO-8601 UTC text, money and quantities decimal text. A decision is on disk before anything
is sent.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from .clock import stamp
from .trading.risk import slippage_bps
from .venue import TERMINAL, UNRESOLVED, NewOrder, VenueFill

_FINAL = ", ".join(f"'{status}'" for status in TERMINAL)
_LOOSE = ", ".join(f"'{status}'" for status in UNRESOLVED)

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS stamp (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, mode TEXT NOT NULL, instance TEXT NOT NULL,
    venue TEXT NOT NULL, symbol TEXT NOT NULL, signal_id TEXT NOT NULL, action TEXT NOT NULL,
    side TEXT, qty TEXT, price TEXT, outcome TEXT NOT NULL,
    reason TEXT NOT NULL, client_order_id TEXT
);
CREATE TABLE IF NOT EXISTS orders (
    client_order_id TEXT PRIMARY KEY, order_id TEXT, at TEXT NOT NULL, mode TEXT NOT NULL,
    venue TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, qty TEXT NOT NULL, limit_price TEXT NOT NULL,
    status TEXT NOT NULL, reference_price TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS fills (
    fill_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, client_order_id TEXT NOT NULL, venue TEXT NOT NULL,
    symbol TEXT NOT NULL, side TEXT NOT NULL, qty TEXT NOT NULL, price TEXT NOT NULL, reference_price TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS loops (
    id INTEGER PRIMARY KEY, started_at TEXT NOT NULL, finished_at TEXT, mode TEXT NOT NULL,
    switch TEXT NOT NULL, size_multiplier TEXT NOT NULL, error TEXT
);
CREATE INDEX IF NOT EXISTS decisions_at ON decisions (at);
CREATE INDEX IF NOT EXISTS orders_at ON orders (at);
CREATE INDEX IF NOT EXISTS orders_venue_id ON orders (order_id);
CREATE INDEX IF NOT EXISTS orders_working ON orders (status) WHERE status NOT IN ({_FINAL});
CREATE INDEX IF NOT EXISTS fills_at ON fills (at);
CREATE INDEX IF NOT EXISTS fills_venue ON fills (venue, at);
CREATE INDEX IF NOT EXISTS fills_order ON fills (client_order_id);
"""


class AuditRefused(Exception):
    """The database belongs to another mode or account: using it would mix paper and live records."""


@dataclass(frozen=True)
class Decision:
    """One thing the bot made up its mind about; `order` is None where there was nothing to send.

    `outcome`: hold, refused, submit (written before the order is sent), rejected (the venue said no), unknown
    (no answer that can be believed).
    """

    at: datetime
    venue: str
    symbol: str
    signal_id: str
    action: str
    outcome: str
    reason: str
    order: NewOrder | None = None


@dataclass(frozen=True)
class OwnOrder:
    """As much of a row of `orders` as following it up needs; `order_id` is empty until known."""

    client_order_id: str
    order_id: str
    venue: str
    symbol: str
    side: str
    qty: Decimal
    limit_price: Decimal
    status: str
    at: str


class Audit:
    """One connection, used by the loop and by the API's threads one at a time."""

    def __init__(self, path: Path, mode: str, instance: str) -> None:
        """Open or create. Raises AuditRefused if the file is stamped with another mode."""
        self._mode, self._instance = mode, instance
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_SCHEMA)
        self._stamp("mode", mode)
        self._last_price: dict[str, Decimal] = {}
        self._held = self._count_holdings()

    def _stamp(self, name: str, value: str, bind: bool = True) -> None:
        insert = "INSERT INTO stamp (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING"
        with self._lock:
            if bind:
                self._connection.execute(insert, (name, value))
            stamped = self._one("SELECT value FROM stamp WHERE name = ?", name)
        if stamped not in (value, None):
            raise AuditRefused(f"audit database belongs to {name} {stamped}, not {value}")

    def stamp_account(self, venue: str, number: str, bind: bool) -> None:
        """Bind the file to the account at that venue, or raise AuditRefused if it is bound to another one.

        Without `bind` it is only compared: a bot that may not trade has not chosen an account.
        """
        self._stamp(f"{venue} account", number, bind)

    def _one(self, query: str, *values: object) -> object:
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]

    # decisions

    def decide(self, decision: Decision) -> None:
        """Record a decision, and in the same commit the order it leads to, as intended."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._insert_decision(decision)
                if decision.outcome == "submit" and decision.order is not None:
                    self._insert_order(decision, decision.order)
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    def _insert_decision(self, decision: Decision) -> None:
        order = decision.order
        self._connection.execute(
            "INSERT INTO decisions (at, mode, instance, venue, symbol, signal_id, action, side, qty, price, outcome,"
            " reason, client_order_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                stamp(decision.at),
                self._mode,
                self._instance,
                decision.venue,
                decision.symbol,
                decision.signal_id,
                decision.action,
                order and order.side,
                order and str(order.qty),
                order and str(order.limit_price),
                decision.outcome,
                decision.reason,
                order and order.client_order_id,
            ),
        )

    def _insert_order(self, decision: Decision, order: NewOrder) -> None:
        self._connection.execute(
            "INSERT INTO orders (client_order_id, at, mode, venue, symbol, side, qty, limit_price, status,"
            " reference_price, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'intent', ?, ?)",
            (
                order.client_order_id,
                stamp(decision.at),
                self._mode,
                decision.venue,
                order.symbol,
                order.side,
                str(order.qty),
                str(order.limit_price),
                str(order.reference_price),
                stamp(decision.at),
            ),
        )

    def sent_signals(self, since: datetime, limit: int) -> list[str]:
        """Ids of the signals that led to an order since then, the latest first."""
        query = "SELECT signal_id FROM decisions WHERE outcome = 'submit' AND at >= ? ORDER BY at DESC, id DESC LIMIT ?"
        with self._lock:
            return [str(row[0]) for row in self._connection.execute(query, (stamp(since), limit))]

    # orders

    def order_status(self, client_order_id: str) -> str | None:
        with self._lock:
            status = self._one("SELECT status FROM orders WHERE client_order_id = ?", client_order_id)
        return None if status is None else str(status)

    def update_order(self, client_order_id: str, status: str, at: datetime, order_id: str = "") -> None:
        """Note a new state; an empty `order_id` leaves the one that is known."""
        update = (
            "UPDATE orders SET status = ?, updated_at = ?, order_id = coalesce(nullif(?, ''), order_id)"
            " WHERE client_order_id = ?"
        )
        with self._lock:
            self._connection.execute(update, (status, stamp(at), order_id, client_order_id))

    def working(self) -> list[OwnOrder]:
        """Own orders that the venue may still fill, oldest first; unresolved ones are not among them."""
        return self._orders(f"status NOT IN ({_FINAL}) AND status NOT IN ({_LOOSE})")

    def unresolved(self) -> list[OwnOrder]:
        """Own orders that were to be sent and of which it is not known whether the venue has them."""
        return self._orders(f"status NOT IN ({_FINAL}) AND status IN ({_LOOSE})")

    def _orders(self, where: str) -> list[OwnOrder]:
        query = (
            "SELECT client_order_id, coalesce(order_id, ''), venue, symbol, side, qty, limit_price, status, at"
            f" FROM orders WHERE {where} ORDER BY at, client_order_id"
        )
        with self._lock:
            rows = self._connection.execute(query).fetchall()
        return [
            OwnOrder(own, at_venue, venue, symbol, side, Decimal(qty), Decimal(limit), status, at)
            for own, at_venue, venue, symbol, side, qty, limit, status, at in rows
        ]

    def orders_since(self, moment: datetime) -> int:
        with self._lock:
            count = self._one("SELECT count(*) FROM orders WHERE at >= ?", stamp(moment))
        return int(str(count))

    # fills

    def record_fills(self, fills: Iterable[VenueFill]) -> int:
        """Store the new fills of own orders, pass over anybody else's; returns how many were stored."""
        with self._lock:
            return sum(self._record_fill(fill) for fill in fills)

    def _record_fill(self, fill: VenueFill) -> bool:
        own = self._connection.execute(
            "SELECT client_order_id, reference_price, venue FROM orders WHERE order_id = ?", (fill.order_id,)
        ).fetchone()
        if own is None:
            return False
        insert = "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        money = (str(fill.qty), str(fill.price), own[1], stamp(fill.at))
        row = (fill.fill_id, fill.order_id, own[0], own[2], fill.symbol, fill.side, *money)
        if self._connection.execute(insert, row).rowcount == 0:
            return False
        self._hold(self._held, fill.symbol, fill.side, fill.qty)
        self._last_price[fill.symbol] = fill.price
        return True

    def fills_awaited(self, venue: str, since: datetime) -> bool:
        """Whether an order filled there since then has no fill on record yet."""
        query = (
            "SELECT 1 FROM orders WHERE status = 'filled' AND at >= ? AND venue = ? AND client_order_id NOT IN"
            " (SELECT client_order_id FROM fills WHERE at >= ?) LIMIT 1"
        )
        with self._lock:
            return self._one(query, stamp(since), venue, stamp(since)) is not None

    def fills_known_until(self, venue: str) -> datetime | None:
        """The time of the venue's last fill on record, else of the first order, else None: where to ask from."""
        last_fill, first_order = (
            f"SELECT {what} WHERE venue = ?" for what in ("max(at) FROM fills", "min(at) FROM orders")
        )
        with self._lock:
            last = self._one(last_fill, venue) or self._one(first_order, venue)
        return None if last is None else datetime.fromisoformat(str(last))

    def recent_slippage(self, count: int, since: datetime | None = None) -> list[Decimal]:
        """Slippage in basis points of the last fills, at most `count`, the latest first."""
        query = "SELECT side, price, reference_price FROM fills WHERE at > ? ORDER BY at DESC LIMIT ?"
        with self._lock:
            rows = self._connection.execute(query, ("" if since is None else stamp(since), count)).fetchall()
        return [slippage_bps(side, Decimal(price), Decimal(reference)) for side, price, reference in rows]

    def held(self, symbol: str) -> Decimal:
        """What the bot's own fills add up to."""
        with self._lock:
            return self._held.get(symbol, Decimal(0))

    def at_stake_usd(self) -> Decimal:
        """What is held at the last price of each symbol, and what open buy orders would add."""
        held = sum((qty * self._last_price.get(symbol, Decimal(0)) for symbol, qty in self._held.items()), Decimal(0))
        return held + sum((o.qty * o.limit_price for o in self.working() if o.side == "buy"), Decimal(0))

    def _count_holdings(self) -> dict[str, Decimal]:
        held: dict[str, Decimal] = {}
        for symbol, side, qty, price in self._connection.execute(
            "SELECT symbol, side, qty, price FROM fills ORDER BY at"
        ):
            self._hold(held, symbol, side, Decimal(qty))
            self._last_price[symbol] = Decimal(price)
        return held

    @staticmethod
    def _hold(held: dict[str, Decimal], symbol: str, side: str, qty: Decimal) -> None:
        held[symbol] = held.get(symbol, Decimal(0)) + (qty if side == "buy" else -qty)

    # loops

    def start_loop(self, at: datetime, switch: str, size_multiplier: Decimal) -> int:
        insert = "INSERT INTO loops (started_at, mode, switch, size_multiplier) VALUES (?, ?, ?, ?)"
        with self._lock:
            cursor = self._connection.execute(insert, (stamp(at), self._mode, switch, str(size_multiplier)))
        return int(cursor.lastrowid or 0)

    def finish_loop(self, loop: int, at: datetime, error: str | None) -> None:
        update = "UPDATE loops SET finished_at = ?, error = ? WHERE id = ?"
        with self._lock:
            self._connection.execute(update, (stamp(at), error, loop))

    # a system's own tables

    @contextmanager
    def own_tables(self, schema: str = "") -> Iterator[sqlite3.Connection]:
        """The connection, for tables that only one system has; nobody else uses it meanwhile."""
        with self._lock:
            if schema:
                self._connection.executescript(schema)
            yield self._connection

    def close(self) -> None:
        """Close the connection, which folds the WAL into the database file."""
        with self._lock:
            self._connection.close()
