"""Reading Kraken's answers: its names to ours, its numbers and times to ours. Pure; nothing here asks anybody."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from ops.errors import VenueError
from ops.venues.protocol import FillView, OrderView

Answer = TypeVar("Answer")
CLOSED = ("closed", "canceled", "expired")
"""Every other status, also one that is not known here, is of an order that could still trade."""
CLIENT_ID = re.compile(r"[a-z0-9]{1,18}|[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What Kraken takes as cl_ord_id (venues.md 3.5)."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RENAMED = {"XBT": "BTC", "XDG": "DOGE"}
_PROTECTIVE = ("stop-loss", "trailing-stop")


def typed(build: Callable[[], Answer]) -> Answer:
    """What `build` reads out of an answer; VenueError if it lacks what it should hold."""
    try:
        return build()
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError) as error:
        raise VenueError(f"Kraken's answer lacks what it should hold: {type(error).__name__}") from None


@dataclass(frozen=True)
class Names:
    """Kraken's names to ours, from AssetPairs: `symbols` by pair name and altname, `codes` by asset."""

    symbols: Mapping[str, str]
    codes: Mapping[str, str]
    pairs: Mapping[str, str]

    def symbol(self, pair: str) -> str:
        """BTC/USD for XBTUSD or XXBTZUSD; the venue's own word for what is listed no more."""
        return self.symbols.get(pair, pair)

    def code(self, asset: str) -> str:
        """BTC for XXBT and XBT; `.S`, `.F` and the like are kept: what is staked or earns cannot be sold as such."""
        asset, dot, kind = asset.partition(".")
        return self.codes.get(asset, _RENAMED.get(asset, asset)) + dot + kind


def venue_client_id(client_id: str) -> str:
    """The cl_ord_id that stands for an id: itself where Kraken takes it, else a UUID that depends on nothing else."""
    if CLIENT_ID.fullmatch(client_id):
        return client_id
    digest = hashlib.sha256(client_id.encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def read_names(rows: Mapping[str, Mapping[str, Any]]) -> Names:
    """From the result of AssetPairs. Pairs without a plain name (dark pools) are left out."""
    symbols, codes, pairs = {}, {"ZUSD": "USD"}, {}
    for name, row in rows.items():
        if str(row.get("wsname")).count("/") != 1:
            continue
        base, quote = (_RENAMED.get(code, code) for code in row["wsname"].split("/"))
        symbols[name] = symbols[row["altname"]] = f"{base}/{quote}"
        codes[row["base"]], codes[row["quote"]] = base, quote
        pairs[f"{base}/{quote}"] = name
    return Names(symbols, codes, pairs)


def rows_of(answer: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Rows by id. Raises VenueError for another shape: a missing list is not an empty one."""
    rows = answer.get(name)
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise VenueError(f"Kraken's answer has no list of {name}")
    return rows


def listed(value: Any) -> Sequence[Any]:
    """A list. Raises TypeError for anything else: a text is a sequence too."""
    if not isinstance(value, list):
        raise TypeError
    return value


def middle(rows: Mapping[str, Mapping[str, Any]], symbol: str) -> Decimal:
    """USD per unit between bid and ask, out of Ticker's rows by symbol. Raises ValueError for a crossed market."""
    bid, ask = (Decimal(rows[symbol][side][0]) for side in ("b", "a"))
    if not 0 < bid <= ask:
        raise ValueError
    return (bid + ask) / 2


def time_of(seconds: object) -> datetime:
    """Unix seconds with a fraction, to the microsecond."""
    return EPOCH + timedelta(microseconds=int((Decimal(str(seconds)) * 1_000_000).to_integral_value()))


def order_view(names: Names, txid: str, row: Mapping[str, Any]) -> OrderView:
    """One row of OpenOrders, ClosedOrders or QueryOrders."""
    told, status = row["descr"], str(row["status"])
    protective = told["ordertype"].startswith(_PROTECTIVE) or bool(row.get("reduce_only"))
    return OrderView(
        txid, str(row.get("cl_ord_id") or ""), names.symbol(told["pair"]), told["type"], Decimal(row["vol"]), status,
        time_of(row["opentm"]), status not in CLOSED, protective,
    )  # fmt: skip


def fill_view(names: Names, trade: str, row: Mapping[str, Any]) -> FillView:
    """One row of TradesHistory."""
    return FillView(
        trade, row["ordertxid"], names.symbol(row["pair"]), row["type"], Decimal(row["vol"]), Decimal(row["price"]),
        time_of(row["time"]),
    )  # fmt: skip


def reserves(names: Names, row: Mapping[str, Any]) -> tuple[str, Decimal]:
    """What an open order holds back: (asset, amount), USD for a buy, the base for a sell."""
    base, _, quote = names.symbol(row["descr"]["pair"]).partition("/")
    left = Decimal(row["vol"]) - Decimal(row["vol_exec"])
    return (quote, left * Decimal(row["descr"]["price"])) if row["descr"]["type"] == "buy" else (base, left)
