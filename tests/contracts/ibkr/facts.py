"""What Interactive Brokers is like, for the clauses of the contract."""

from __future__ import annotations

from decimal import Decimal

from tests.contracts.rig import Facts

IBKR = Facts(
    kind="ibkr",
    numbers={"paper": "DU1234567", "live": "U7654321"},
    paper={"paper": True, "live": False},
    symbols={"AAPL": Decimal(190), "MSFT": Decimal(410)},
    symbol="AAPL",
    qty=Decimal(2),
    resting=Decimal(100),
    crossing=Decimal(200),
    client_id=lambda n: f"i1-p-{n:016x}",
    page=40,
    key_views={},
    may={},
    flaws={},
    keyed=False,
    http=False,
    refused=dict.fromkeys(
        ("rate_limit", "server_error", "html_error", "empty_body", "truncated_json", "maintenance", "lost_link")
    ),
    writes_refused={"cancel_only": None, "read_only": None},
    lost_after=("hang_after", "gateway_timeout_after"),
    silent=("hang_before", "logged_out"),
    lies=(
        *("half_cancel", "stuck_cancel", "hidden_pages", "stale_orders", "wrong_account"),
        *("silent_positions", "ids_in_use", "todays_fills_only"),
    ),
    states={"lost_link": "unknown"},
    filled="Filled",
    canceled="Cancelled",
    timeout_seconds=1,
)
