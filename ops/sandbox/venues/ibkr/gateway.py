"""One environment's gateway: its book, its sessions, and what its faults do to a conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.clock import WorldClock
from ops.sandbox.faults import FaultBoard
from ops.sandbox.journal import stamp
from ops.sandbox.venues import calendar
from ops.sandbox.venues.cash import Position
from ops.sandbox.venues.ibkr import answers, messages
from ops.sandbox.venues.ibkr.book import Book
from ops.sandbox.venues.ibkr.frames import framed
from ops.sandbox.venues.ibkr.orders import Fill, Order
from ops.sandbox.venues.ibkr.refusals import Refusal
from ops.sandbox.venues.ibkr.session import Session
from ops.sandbox.venues.limits import RequestLimit

_PAGE = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>400</html>\r\n"
_LOST = (1100, "Connectivity between IBKR and Trader Workstation has been lost.")
_LOST_AT_START = (
    2110,
    "Connectivity between Trader Workstation and server is broken. It will be restored automatically.",
)
_BACK = (1102, "Connectivity between IBKR and Trader Workstation has been restored - data maintained.")
_NOTICE = (2106, "HMDS data farm connection is OK:ushmds")
_TOO_FAST = (100, "Max rate of messages per second has been exceeded")
_UNREADABLE = (320, "Error reading request. Internal error")


class IbkrGateway:
    """Answers the sessions of one environment (`session.Gateway`)."""

    def __init__(self, book: Book, faults: FaultBoard, clock: WorldClock, settle: Callable[[], None]) -> None:
        self.book = book
        self.faults = faults
        self.clock = clock
        self.environment = book.account.environment
        self.sessions: dict[int, Session] = {}
        self.log_request: Callable[[dict[str, Any]], None] = lambda _: None
        self.limit = RequestLimit(1)
        self._settle = settle

    # what sessions need

    @property
    def number(self) -> str:
        own = self.book.account.number
        if not self.faults.is_on("wrong_account", self.environment):
            return own
        return own[:-2] + ("99" if not own.endswith("99") else "98")

    def stands(self, session: Session) -> bool:
        if self._strikes("html_error"):
            session.send_bytes(_PAGE)
            return False
        session.deaf = self._strikes("logged_out")
        return not self._strikes("maintenance")

    def enter(self, session: Session) -> bool:
        client_id = session.client_id
        if client_id is None or client_id in self.sessions or self._strikes("ids_in_use"):
            session.client_id = None
            return False
        self.sessions[client_id] = session
        return True

    def leave(self, session: Session) -> None:
        if session.client_id is not None and self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]

    def local_time(self) -> str:
        return f"{self.clock.now().astimezone(calendar.NEW_YORK):%Y%m%d %H:%M:%S %Z}"

    def serve(self, session: Session, fields: Sequence[str]) -> None:
        """Settles, lets the faults have their way, answers, stores."""
        self._settle()
        request = answers.REQUESTS.get(fields[0])
        code = 0
        if request is None:
            session.send(messages.error(-1, *_UNREADABLE))
            session.drop()
            return
        if not self._disturbed(session, request, fields):
            code = self._answered(session, request, fields)
        self._log(session, request, code)

    # faults

    def _strikes(self, name: str, request: answers.Request | None = None) -> bool:
        method, path = (request.method, f"/{request.name}") if request is not None else ("", "")
        return self.faults.strikes(name, self.environment, method, path)

    def _disturbed(self, session: Session, request: answers.Request, fields: Sequence[str]) -> bool:
        """The faults that strike before the venue has looked at a request."""
        if self._strikes("logged_out", request) or self._strikes("hang_before", request):
            session.deaf = True
        elif self._strikes("html_error", request):
            session.send_bytes(_PAGE)
            session.drop()
        elif self._strikes("maintenance", request):
            session.drop()
        elif self._strikes("empty_body", request):
            session.send_bytes(framed(b""))
            session.send(messages.error(-1, *_NOTICE))  # clients look at an empty frame only when more has come
        elif self._strikes("server_error", request):
            session.send(messages.error(-1, *_UNREADABLE))
        elif self.limit.take(self.clock.now()).exceeded or self._strikes("rate_limit", request):
            session.send(messages.error(-1, *_TOO_FAST))
        elif self.faults.is_on("lost_link", self.environment) and request.changes:
            session.send(messages.error(request.id_in(fields), *_LOST))
        else:
            return request.name == "reqPositions" and self._strikes("silent_positions", request)
        return True

    def _answered(self, session: Session, request: answers.Request, fields: Sequence[str]) -> int:
        """Answers, and lets faults spoil the answer; returns the code of a refusal, else 0."""
        code = 0
        session.hold()
        try:
            request.answer(answers.Call(self, session, fields, self.clock.now()))
        except Refusal as refusal:
            code = refusal.code
            session.send(messages.error(request.id_in(fields), refusal.code, refusal.message))
        except (ValueError, IndexError):
            code = _UNREADABLE[0]
            session.send(messages.error(-1, *_UNREADABLE))
        self._settle()  # what an order leads to at once belongs to its answer
        self._send_spoilt(session, request, session.release(), code)
        return code

    def _send_spoilt(self, session: Session, request: answers.Request, frames: list[bytes], code: int) -> None:
        if request.changes and not code and self._strikes("hang_after", request):
            session.deaf = True
        elif request.changes and not code and self._strikes("gateway_timeout_after", request):
            session.drop()
        elif frames and self._strikes("truncated_json", request):
            spoilt = max(len(frames) - 2, 0)
            cut = frames[spoilt][4 : 4 + (len(frames[spoilt]) - 4) // 2]
            frames[spoilt] = framed(cut + b"\0")
        for frame in frames:
            session.send_bytes(frame)

    def link_changed(self, lost: bool) -> None:
        """Tells every session that the gateway has lost IBKR, or found it again."""
        for session in self.sessions.values():
            session.send(messages.error(-1, *(_LOST if lost else _BACK)))

    def greet(self, session: Session) -> None:
        """What a session hears first when the link is lost."""
        if self.faults.is_on("lost_link", self.environment):
            session.send(messages.error(-1, *_LOST_AT_START))

    # what happens by itself

    def tell(self, event: str, order: Order, fill: Fill | None) -> None:
        """Passes an event on to the client who owns the order, and a fill to those who watch positions."""
        first = self.sessions.get(0)
        if order.by_hand and first is not None and first.binds_manual_orders:
            self.book.bind(order)
        owner = self.sessions.get(order.client_id) if not order.by_hand else None
        if owner is not None:
            self._tell_owner(owner, event, order, fill)
        if fill is not None:
            held = self.book.account.positions.get(fill.symbol) or Position(fill.symbol, Decimal(0), Decimal(0))
            for session in self.sessions.values():
                if session.watches_positions:
                    session.send(messages.position(held, self.number))
                if session.watches_account:
                    session.send(messages.portfolio(held, fill.price, self.number))

    def _tell_owner(self, owner: Session, event: str, order: Order, fill: Fill | None) -> None:
        if fill is not None:
            owner.send(messages.execution(-1, fill, order, owner.version, self.number))
        if event == "canceled":
            owner.send(messages.error(order.order_id, 202, "Order Canceled - reason:"))
        else:
            owner.send(messages.open_order(order, owner.version, self.number, order.status, order.order_id))
        owner.send(messages.order_status(order, order.status, order.filled))
        if fill is not None:
            owner.send(messages.commission(fill))

    def push_ticks(self, at: datetime) -> None:
        """New prices to those who asked for a stream of them."""
        for session in self.sessions.values():
            for request, (symbol, known) in session.tickers.items():
                quote = self.book.market.quote(symbol, at)
                if (quote.bid, quote.ask) != known:
                    session.tickers[request] = (symbol, (quote.bid, quote.ask))
                    for tick in messages.ticks(request, quote.bid, quote.ask):
                        session.send(tick)

    def _log(self, session: Session, request: answers.Request, code: int) -> None:
        self.log_request(
            {
                "time": stamp(self.clock.wall()),
                "listener": f"ibkr-{self.environment}",
                "method": request.method,
                "path": f"/{request.name}",
                "query": "",
                "key_id": f"{self.environment}-client-{session.client_id}",
                "status": code,
            }
        )
