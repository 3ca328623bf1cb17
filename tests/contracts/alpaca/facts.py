"""What Alpaca is like, for the clauses of the contract."""

from __future__ import annotations

from decimal import Decimal

from ops.venues.protocol import KeyView
from tests.contracts.rig import Facts

ALPACA = Facts(
    kind="alpaca",
    numbers={"paper": "PA3SANDBOX01", "live": "912345678"},
    paper={"paper": True, "live": False},
    symbols={"AAPL": Decimal(190), "MSFT": Decimal(420)},
    symbol="AAPL",
    qty=Decimal(1),
    resting=Decimal(100),
    crossing=Decimal(250),
    client_id=lambda n: f"a1-p-{n:06d}",
    page=500,
    key_views={"bot": KeyView(None, True, False)},
    may={"bot": frozenset({"read", "trade", "cancel"})},
    flaws={
        "unknown": lambda parts: {**parts, "key": "PKUNKNOWN"},
        "wrong secret": lambda parts: {**parts, "secret": "x" * 40},
        "swapped": lambda parts: {**parts, "key": parts["secret"], "secret": parts["key"]},
    },
    refused={
        "rate_limit": 429,
        "server_error": 500,
        "html_error": 502,
        "maintenance": 503,
        "revoked_keys": 401,
        "empty_body": None,
        "truncated_json": None,
    },
    lost_after=("hang_after", "gateway_timeout_after"),
    silent=("hang_before",),
    lies=("half_cancel", "stuck_cancel", "hidden_pages", "stale_orders", "wrong_account"),
    filled="filled",
    canceled="canceled",
    latches=True,
)
