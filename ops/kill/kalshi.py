"""The brakes at Kalshi: the order groups as its latched halt, one cancel for everything, one for each.

Facts: venues.md 4.5 to 4.8, and the head of `ops.venues.kalshi.client`, which signs. The kill key has the scopes `read`
and `write::trade`: the venue has none that cancels and cannot place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ops.kill.brake import CALL_MAX_SECONDS, Seen, VenueSilent
from ops.secrets import Credentials
from ops.venues.kalshi.client import CLOSED, ORDERS, KalshiClient, Row, Unanswered

NOT_OFFERED = (404, 405, 410)
"""What an exchange answers that has no account-wide cancel (the demo exchange was seen without)."""


class KalshiBrake:
    """One account. The kill key does everything; without one, the observer's still reads."""

    halt_name = "order groups"

    def __init__(self, endpoint: str, account: str, kill: Credentials | None, observer: Credentials | None) -> None:
        key = kill or observer
        if key is None:
            raise VenueSilent("there are no credentials for Kalshi")
        self._client = KalshiClient(endpoint, key, CALL_MAX_SECONDS)
        self._asked_for_all = False

    def account(self) -> str:
        """The communications id behind the key."""
        with _heard():
            return self._client.number()

    def halt(self) -> None:
        """Every order group triggered, read back; one is made if the account has none, for the next order to meet."""
        with _heard():
            self._client.latch(triggered=True)

    def cancel_all(self) -> Sequence[str]:
        """First everything at once, which also reaches what a list hides; asked again, each order by its id too."""
        with _heard():
            at_once, again = self._cancelled_at_once(), self._asked_for_all
            rows = self._client.resting()
            self._asked_for_all = True
            return [_id(row) for row in rows] if at_once and not again else self._client.cancel_each(rows)

    def _cancelled_at_once(self) -> bool:
        try:
            self._client.ask("DELETE", ORDERS)
        except Unanswered as error:
            if error.status not in NOT_OFFERED:
                raise
            return False
        return True

    def open_orders(self, newest_first: bool) -> Sequence[Seen]:
        """All pages; from the oldest with a second look (`KalshiClient.resting`)."""
        with _heard():
            return [_seen(row) for row in self._client.resting(newest_first)]

    def order(self, order_id: str) -> Seen:
        """One order, whatever its state; a cancelled one may be shown as resting for half a second."""
        with _heard():
            return _seen(self._client.order(order_id))

    def positions(self) -> Sequence[str]:
        """Contracts of YES, negative for NO."""
        with _heard():
            rows = self._client.whole("/portfolio/positions", "market_positions", "ticker")
            return [f"{row['ticker']} {row['position_fp']}" for row in rows if _held(row)]


@contextmanager
def _heard() -> Iterator[None]:
    try:
        yield
    except Unanswered as error:
        raise VenueSilent(str(error), refused=error.status in (401, 403)) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VenueSilent(f"the answer has an unknown shape: {type(error).__name__}") from None


def _id(row: Row) -> str:
    return str(row["order_id"])


def _held(row: Row) -> bool:
    quantity: Any = row["position_fp"]
    return bool(quantity.strip("-0."))


def _seen(row: Row) -> Seen:
    status = str(row["status"])
    return Seen(
        id=_id(row),
        client_id=str(row["client_order_id"]),
        symbol=str(row["ticker"]),
        side={"bid": "buy", "ask": "sell"}.get(str(row.get("book_side")), "unknown"),
        qty=str(row["remaining_count_fp"]),
        status=status,
        open=status not in CLOSED,
    )
