"""The brake at Interactive Brokers: the few messages that it needs, spoken over a plain socket.

The client libraries are left out on purpose. Six messages out and eight in are all that a kill needs, none of them has
optional parts in what is read here, and so there is no event loop to hang in and no library to be missing or broken.
Facts: venues.md 6.2 to 6.6. There are no credentials and no halt of IBKR's own. The global cancel reaches every
order of the login, other clients' and manual ones too; `cancelOrder` only those of the same client.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from ops.kill.brake import CALL_MAX_SECONDS, Seen, VenueSilent
from ops.secrets import Credentials

FIRST_CLIENT_ID, CLIENT_IDS = 7701, 24
VERSIONS = (157, 176)
FRAME_MAX_BYTES = 1 << 24
CLOSED = ("Filled", "Cancelled", "ApiCancelled", "Ended")
"""The last is our word for one that is listed as completed."""
PROTECTIVE = ("STP", "STP LMT", "TRAIL", "TRAIL LIMIT")

ALL_OPEN, TIME, GLOBAL_CANCEL, POSITIONS, COMPLETED = (16, 1), (49, 1), (58, 1), (61, 1), (99, 0)
# What comes in, by the first field of a message.
STATUS, ERROR, OPEN_ORDER, NEXT_ID, ACCOUNTS, NOW = "3", "4", "5", "9", "15", "49"
OPEN_END, POSITION, POSITIONS_END, COMPLETED_ORDER, COMPLETED_END = "53", "61", "62", "101", "102"
FIELDS_MIN = {STATUS: 12, OPEN_ORDER: 90, COMPLETED_ORDER: 80}
"""No order of these versions has fewer (venues.md 6.6 to 6.8)."""
_ID_IN_USE = 326
_LINK_LOST, _LINK_BACK = (1100, 2110), (1101, 1102)
_NOTICES = (202, 399, 10167, *_LINK_BACK, *range(2100, 2200))

Message = list[str]
Answer = TypeVar("Answer")


class _IdInUse(Exception):
    """Another connection has that client id."""


class IbkrBrake:
    """One account behind one gateway. What goes wrong gives the connection up; the next call makes one."""

    halt_name = ""

    def __init__(self, endpoint: str, account: str, kill: Credentials | None, observer: Credentials | None) -> None:
        """Credentials are not asked for: whoever reaches the socket may trade."""
        parts = urlsplit(endpoint)
        self._address, self._account = (parts.hostname or "", parts.port or 0), account
        self._socket: socket.socket | None = None
        self._accounts: list[str] = []
        self._lost = ""
        self._until = 0.0

    def __del__(self) -> None:
        self._drop()

    def account(self) -> str:
        """Ours if the gateway manages it, else the first that it does manage."""
        self._ask(TIME, end=NOW, read=len)
        return self._account if self._account in self._accounts else self._accounts[0]

    def halt(self) -> None:
        """IBKR has none on the socket."""
        raise VenueSilent("IBKR has no halt of its own")

    def cancel_all(self) -> Sequence[str]:
        """The global cancel has no answer and names no order: a question behind it shows if it was refused."""
        self._ask(GLOBAL_CANCEL, TIME, end=NOW, read=len)
        return ()

    def open_orders(self, newest_first: bool) -> Sequence[Seen]:
        """Every client's and the manual ones, by permId. Each comes as two messages: the order, and its status."""
        still = [order for order in self._ask(ALL_OPEN, end=OPEN_END, read=_open_orders) if order.open]
        return sorted(still, key=lambda order: int(order.id), reverse=newest_first)

    def order(self, order_id: str) -> Seen:
        """Among the open orders, else among those that ended today."""
        for order in (*self.open_orders(True), *self._ask(COMPLETED, end=COMPLETED_END, read=_ended_orders)):
            if order.id == order_id:
                return order
        raise VenueSilent(f"IBKR shows no order {order_id}, open or ended today")

    def positions(self) -> Sequence[str]:
        """Those of the account; quantities as IBKR writes them."""
        rows = self._ask(POSITIONS, end=POSITIONS_END, read=_positions)
        self._drop()  # the list is a subscription: its updates must not mix into what is asked next
        held = {symbol: qty for account, symbol, qty in rows if account == self._account}
        return [f"{symbol} {qty}" for symbol, qty in held.items() if qty.strip("-0.")]

    # the wire

    def _ask(self, *requests: tuple[int, int], end: str, read: Callable[[list[Message]], Answer]) -> Answer:
        """What `read` makes of all messages up to the one that ends the answer. Raises VenueSilent, also when late."""
        self._until = time.monotonic() + CALL_MAX_SECONDS
        try:
            self._connect()
            for request in requests:
                self._send(_fields(*request))
            said = read(list(self._messages(end)))
            if self._lost:
                raise VenueSilent(f"the gateway has lost IBKR: {self._lost}")
            return said
        except BaseException as error:
            self._drop()
            if isinstance(error, OSError):
                raise VenueSilent(f"no answer from the IBKR gateway ({type(error).__name__})") from None
            if isinstance(error, (ValueError, IndexError)):
                raise VenueSilent("the IBKR gateway sent something of an unknown shape") from None
            raise

    def _connect(self) -> None:
        """Under the first client id of ours that is free."""
        for client_id in range(FIRST_CLIENT_ID, FIRST_CLIENT_ID + CLIENT_IDS):
            if self._socket is not None:
                return
            try:
                self._socket = socket.create_connection(self._address, timeout=self._left())
                self._start(client_id)
            except _IdInUse:
                self._drop()
        if self._socket is None:
            raise VenueSilent(f"client ids {FIRST_CLIENT_ID} and the next are all in use at the IBKR gateway")

    def _start(self, client_id: int) -> None:
        self._socket_send(b"API\0")
        self._send(b"v%d..%d" % VERSIONS)
        version, _ = self._message()
        if not VERSIONS[0] <= int(version) <= VERSIONS[1]:
            raise ValueError(version)
        self._send(_fields(71, 2, client_id, ""))
        waiting, self._lost = {NEXT_ID, ACCOUNTS}, ""
        while waiting:
            one = self._message()
            waiting.discard(one[0])
            if one[0] == ACCOUNTS:
                self._accounts = [name for name in one[2].split(",") if name]
            self._heed(one)
        if not self._accounts:
            raise ValueError(ACCOUNTS)

    def _messages(self, end: str) -> Iterator[Message]:
        while True:
            one = self._message()
            self._heed(one)
            if one[0] == end:
                return
            yield one

    def _heed(self, one: Message) -> None:
        """Errors without an order or request of somebody else: they are about us."""
        if one[0] != ERROR:
            return
        code, text = int(one[3]), one[4]
        if code == _ID_IN_USE:
            raise _IdInUse
        if code in _LINK_LOST:
            self._lost = f"{code} {text[:100]}"
        elif code in _LINK_BACK:
            self._lost = ""
        elif one[2] == "-1" and code not in _NOTICES:
            raise VenueSilent(f"the IBKR gateway said {code} {text[:200]}")

    def _message(self) -> Message:
        (length,) = struct.unpack(">I", self._bytes(4))
        if not 0 < length <= FRAME_MAX_BYTES:
            raise ValueError(length)
        payload = self._bytes(length)
        if not payload.endswith(b"\0"):
            raise ValueError("the last field has no end")
        return payload[:-1].decode(errors="replace").split("\0")

    def _bytes(self, count: int) -> bytes:
        found = b""
        while self._socket is not None and len(found) < count:
            self._socket.settimeout(self._left())
            part = self._socket.recv(count - len(found))
            if not part:
                raise ConnectionResetError
            found += part
        return found

    def _send(self, payload: bytes) -> None:
        self._socket_send(struct.pack(">I", len(payload)) + payload)

    def _socket_send(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _fields(*fields: object) -> bytes:
    return "".join(f"{field}\0" for field in fields).encode()


def _open_orders(said: list[Message]) -> list[Seen]:
    states = {one[6]: one[2] for one in said if one[0] == STATUS and _whole(one)}
    found = [_seen(one[1:], one[25], states) for one in said if one[0] == OPEN_ORDER and _whole(one)]
    return list({order.id: order for order in found}.values())


def _ended_orders(said: list[Message]) -> list[Seen]:
    """They say no order id, and how they ended only after fields whose number varies."""
    ended = [one for one in said if one[0] == COMPLETED_ORDER and _whole(one)]
    return [_seen(one, one[23], {one[23]: CLOSED[-1]}) for one in ended]


def _whole(one: Message) -> bool:
    """A message that was cut could end in the middle of an id. Raises ValueError."""
    if len(one) < FIELDS_MIN[one[0]]:
        raise ValueError(one[0])
    return True


def _positions(said: list[Message]) -> list[tuple[str, str, str]]:
    """(account, symbol, quantity)."""
    return [(one[2], one[4], one[14]) for one in said if one[0] == POSITION]


def _seen(order: Message, perm_id: str, states: Mapping[str, str]) -> Seen:
    """An order message from its contract on; a state that was not said counts as open."""
    if int(perm_id) <= 0:
        raise ValueError(perm_id)
    status = states.get(perm_id, "unknown")
    symbol, side, qty, kind, client_id = order[2], order[12], order[13], order[14], order[22]
    return Seen(perm_id, client_id, symbol, side.lower(), qty, status, status not in CLOSED, kind in PROTECTIVE)
