"""Kalshi's trade API over one desk: requests in, replies out, no network. Routes are the table at the end.

Left out: subaccounts other than 0, amend and decrease, RFQs, multivariate events, settlement of markets.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from ops.sandbox.venues.kalshi import reads, writes
from ops.sandbox.venues.kalshi.calls import Call, Reply, reply
from ops.sandbox.venues.kalshi.desk import Desk
from ops.sandbox.venues.kalshi.matching import settle
from ops.sandbox.venues.kalshi.refusals import Refusal, missing, nested

Handler = Callable[[Desk, Call], Reply]


def public(method: str, path: str) -> bool:
    """Whether the route needs no signature; an unknown one does."""
    return any(m == method and scope == "" and pattern.fullmatch(path) for m, pattern, scope, _ in ROUTES)


def answer(desk: Desk, call: Call) -> Reply:
    """Let time pass, route, and turn refusals into the venue's error bodies."""
    settle(desk, call.at)
    try:
        return _routed(desk, call)
    except Refusal as refusal:
        return reply(refusal.status, refusal.body)


def _routed(desk: Desk, call: Call) -> Reply:
    for method, pattern, scope, handler in ROUTES:
        found = pattern.fullmatch(call.path)
        if found is None or method != call.method:
            continue
        if scope and not (call.key is not None and call.key.allows(scope)):
            # The body for a missing scope is not documented (venues.md 4.7): recollection.
            raise nested(403, "insufficient_scope", f"the API key lacks {scope}")
        return handler(desk, replace(call, name=found[1]) if pattern.groups else call)
    raise missing()


_ID = r"([A-Za-z0-9_.-]{1,64})"
_ORDERS, _GROUPS = "/portfolio/events/orders", "/portfolio/order_groups"


def _route(method: str, pattern: str, scope: str, handler: Handler) -> tuple[str, re.Pattern[str], str, Handler]:
    return method, re.compile(pattern), scope, handler


# method, path after /trade-api/v2, scope ("" is public), handler
ROUTES = (
    _route("GET", "/exchange/status", "", reads.status),
    _route("GET", "/exchange/schedule", "", reads.schedule),
    _route("GET", "/markets", "", reads.markets),
    _route("GET", f"/markets/{_ID}", "", reads.market),
    _route("GET", f"/markets/{_ID}/orderbook", "", reads.book),
    _route("GET", "/historical/cutoff", "", reads.cutoff),
    _route("GET", "/historical/orders", "read", reads.old_orders),
    _route("GET", "/historical/fills", "read", reads.old_fills),
    _route("GET", "/communications/id", "read", reads.communications),
    _route("GET", "/account/limits", "read", reads.limits),
    _route("GET", "/portfolio/balance", "read::portfolio_balance", reads.balance),
    _route("GET", "/portfolio/positions", "read", reads.positions),
    _route("GET", "/portfolio/orders", "read", reads.orders),
    _route("GET", f"/portfolio/orders/{_ID}", "read", reads.order),
    _route("GET", "/portfolio/fills", "read", reads.fills),
    _route("POST", _ORDERS, "write::trade", writes.create),
    _route("DELETE", f"{_ORDERS}/batched", "write::trade", writes.cancel_batch),
    _route("DELETE", f"{_ORDERS}/{_ID}", "write::trade", writes.cancel),
    _route("DELETE", _ORDERS, "write::trade", writes.cancel_everything),
    _route("POST", r"/portfolio/orders(?:/.*)?", "write::trade", writes.gone),
    _route("DELETE", r"/portfolio/orders/.*", "write::trade", writes.gone),
    _route("GET", _GROUPS, "read", writes.groups),
    _route("POST", f"{_GROUPS}/create", "write::trade", writes.create_group),
    _route("GET", f"{_GROUPS}/{_ID}", "read", writes.group),
    _route("DELETE", f"{_GROUPS}/{_ID}", "write::trade", writes.delete_group),
    _route("PUT", f"{_GROUPS}/{_ID}/trigger", "write::trade", writes.trigger_group),
    _route("PUT", f"{_GROUPS}/{_ID}/reset", "write::trade", writes.reset_group),
    _route("PUT", f"{_GROUPS}/{_ID}/limit", "write::trade", writes.limit_group),
    _route("GET", "/api_keys", "read", writes.keys),
    _route("POST", "/api_keys", "write", writes.create_key),
    _route("POST", "/api_keys/generate", "write", writes.generate_key),
    _route("DELETE", f"/api_keys/{_ID}", "write", writes.delete_key),
    _route("POST", "/portfolio/subaccounts/transfer", "write::transfer", writes.transfer),
)
