"""What Polymarket is like, for every test of it: the facts of the clauses, and the public client as it ships."""

from __future__ import annotations

from decimal import Decimal

from py_clob_client_v2 import ApiCreds, ClobClient

from ops.sandbox.venues.polymarket.signing import wallet_address
from ops.venues.protocol import KeyView
from tests.contracts.rig import Facts, Parts, Rig

TOKEN = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
_READ, _CANCEL, _TRADE = "read", "cancel", "trade"

POLYMARKET = Facts(
    kind="polymarket",
    numbers={name: wallet_address(name) for name in ("paper", "live")},
    paper={"paper": None, "live": None},
    symbols={TOKEN: Decimal("0.40"), "1002": Decimal("0.62")},
    symbol=TOKEN,
    qty=Decimal(10),
    resting=Decimal("0.20"),
    crossing=Decimal("0.60"),
    client_id=lambda n: f"e1-p-{n:020d}",
    page=100,
    key_views={
        "bot": KeyView(None, may_trade=True, may_withdraw=True),
        "observer": KeyView(None, may_trade=False, may_withdraw=False),
        "kill": KeyView(None, may_trade=False, may_withdraw=False),
    },
    may={
        "bot": frozenset({_READ, _CANCEL, _TRADE}),
        "observer": frozenset({_READ}),
        "kill": frozenset({_READ, _CANCEL}),
    },
    flaws={
        "unknown": lambda parts: {**parts, "key": "11111111-1111-4111-8111-111111111111"},
        "wrong secret": lambda parts: {**parts, "secret": "A" * 43 + "="},
        "wrong passphrase": lambda parts: {**parts, "passphrase": "f" * 64},
    },
    refused={
        "rate_limit": 429,
        "server_error": 500,
        "html_error": 502,
        "empty_body": None,
        "truncated_json": None,
        "revoked_keys": 401,
        "maintenance": 503,
    },
    writes_refused={"cancel_only": 503, "post_only": 503, "closed_only": 400, "eoa_refused": 400},
    lost_after=("hang_after", "gateway_timeout_after", "truncated_after"),
    silent=("hang_before",),
    # engine_restart tells no lie: it hides what is about orders (425) and answers everything else.
    lies=("half_cancel", "stuck_cancel", "hidden_pages", "stale_orders", "wrong_account", "engine_restart"),
    states={"maintenance": "maintenance", "engine_restart": "maintenance"},
    filled="matched",
    canceled="canceled",
    # None: without a wallet there is nothing to sign an order with, so none is sent that could be refused.
    key_refused=frozenset({401, None}),
    timed=True,
)


def public_client(rig: Rig, parts: Parts, environment: str = "paper") -> ClobClient:
    """The unmodified client with those credentials."""
    creds = ApiCreds(parts["key"], parts["secret"], parts["passphrase"])
    return ClobClient(rig.served.endpoints[environment], 137, key=parts["wallet"], creds=creds)
