"""placeOrder in: parsed and checked as strictly as the gateway does it, so that lax clients are found out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from ops.sandbox.venues.ibkr.messages import TICK, contract_of
from ops.sandbox.venues.ibkr.orders import Ticket
from ops.sandbox.venues.ibkr.refusals import Refusal, bad_price, invalid, no_contract, rejected

_LENGTHS = {176: 115, 177: 114, 178: 114}
"""Fields of a plain order per server version (venues.md 6.5): any other length is not parsed, lest it be misparsed."""
_TYPES = {"LMT": (True, False), "MKT": (False, False), "STP": (False, True), "STP LMT": (True, True)}
"""Type -> whether it has a limit price and a stop price."""
_WHAT_IF_FROM_END = -30
_LARGEST = Decimal(10) ** 8


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client asked for."""

    order_id: int
    ticket: Ticket
    what_if: bool


def claimed(fields: Sequence[str]) -> Ticket:
    """What an order says it is, unchecked: for the log of what was refused."""
    padded = [*fields, *[""] * 27]
    return Ticket(padded[3], padded[16].lower(), Decimal(0), padded[18], padded[21], None, None, padded[26])


def sent(fields: Sequence[str], version: int, number: str, symbols: Collection[str]) -> Sent:
    """Raises Refusal for whatever the gateway would not take, or this simulation does not know."""
    if len(fields) != _LENGTHS.get(version):
        raise invalid(f"an order of {len(fields)} fields is not one of server version {version}")
    symbol = stock(fields[2:14], symbols)
    if fields[23] not in ("", number):
        raise invalid("Invalid account code")
    if fields[16] not in ("BUY", "SELL"):
        raise invalid("Invalid side")
    if fields[27] != "1" or fields[28] not in ("", "0") or fields[22]:
        raise invalid("only orders of their own that are transmitted at once are simulated")
    if fields[37]:
        raise invalid("orders that wait for their time are not simulated")
    if fields[21] not in ("", "DAY", "GTC", "IOC"):
        raise rejected(f"Invalid time in force: {fields[21]}")
    limit, stop = _prices(fields)
    ticket = Ticket(
        symbol, fields[16].lower(), _quantity(fields[17]), fields[18], fields[21] or "DAY", limit, stop, fields[26]
    )
    return Sent(int(fields[1]), ticket, fields[_WHAT_IF_FROM_END] == "1")


def stock(contract: Sequence[str], symbols: Collection[str]) -> str:
    """The listed symbol that is meant by the twelve fields of a contract. Raises Refusal 200."""
    con_id, symbol, kind, currency = contract[0], contract[1], contract[2], contract[9]
    if con_id not in ("", "0"):
        symbol = next((name for name in symbols if str(contract_of(name).con_id) == con_id), "")
    elif kind != "STK" or currency != "USD":
        raise no_contract()
    if symbol not in symbols:
        raise no_contract()
    return symbol


def _quantity(given: str) -> Decimal:
    qty = _number(given)
    if qty is None or not qty:
        raise Refusal(434, "The order size cannot be zero.")
    if qty % 1:
        raise Refusal(10243, "Fractional-sized order cannot be placed via API. Please use desktop version instead.")
    if not 0 < qty < _LARGEST:
        raise invalid("Invalid order size")
    return qty


def _prices(fields: Sequence[str]) -> tuple[Decimal | None, Decimal | None]:
    if fields[18] not in _TYPES:
        raise Refusal(387, f"Unsupported order type for this exchange and security type: {fields[18]}")
    prices = []
    for needed, given in zip(_TYPES[fields[18]], (fields[19], fields[20]), strict=True):
        price = _number(given) if needed else None
        if needed and (price is None or not 0 < price < _LARGEST):
            raise invalid("Invalid price")
        if price is not None and price % TICK:
            raise bad_price()
        prices.append(price)
    return prices[0], prices[1]


def _number(given: str) -> Decimal | None:
    try:
        number = Decimal(given)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
