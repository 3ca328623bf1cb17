"""What Kalshi is like, for the clauses and for the cases of its own."""

from __future__ import annotations

import base64
from decimal import Decimal

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ops.sandbox.venues.kalshi.keys import PURPOSES
from ops.venues.kalshi.client import PAGE
from ops.venues.protocol import KeyView
from tests.contracts.rig import Facts

TICKER = "KXRAIN-26DEC31-NYC"
OTHER = "KXFED-26DEC-T4.00"


def secret_of_nobody() -> str:
    """A good RSA key that the venue has never seen."""
    made = generate_private_key(65537, 2048)
    return base64.b64encode(made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()


KALSHI = Facts(
    kind="kalshi",
    numbers={"paper": "6a1f0de3-0000-4000-8000-0000000000de", "live": "6a1f11fe-0000-4000-8000-000000000011"},
    paper={"paper": None, "live": None},
    symbols={TICKER: Decimal("0.45"), OTHER: Decimal("0.70")},
    symbol=TICKER,
    qty=Decimal(2),
    resting=Decimal("0.20"),
    crossing=Decimal("0.60"),
    client_id=lambda n: f"e1-p-{n:032x}",
    page=PAGE,
    key_views={
        purpose: KeyView(frozenset(scopes), "write::trade" in scopes, False) for purpose, scopes in PURPOSES.items()
    },
    may={
        "bot": frozenset({"read", "trade", "cancel"}),
        "observer": frozenset({"read"}),
        # The venue has no scope that cancels and does not place.
        "kill": frozenset({"read", "trade", "cancel"}),
    },
    flaws={
        "unknown": lambda parts: {**parts, "key": "de300000-0000-4000-8000-000000000000"},
        "another's secret": lambda parts: {**parts, "secret": secret_of_nobody()},
    },
    refused={
        "rate_limit": 429,
        "server_error": 500,
        "html_error": None,
        "empty_body": None,
        "truncated_json": None,
        "revoked_keys": 401,
        "maintenance": 503,
    },
    writes_refused={"cancel_only": 409, "exchange_pause": 409},
    lost_after=("hang_after", "gateway_timeout_after"),
    silent=("hang_before",),
    lies=(
        "half_cancel",
        "stuck_cancel",
        "hidden_pages",
        "stale_orders",
        "wrong_account",
        "no_bulk_cancel",
        "stuck_latch",
    ),
    states={"maintenance": "maintenance", "cancel_only": "cancel_only", "exchange_pause": "maintenance"},
    filled="executed",
    canceled="canceled",
    latches=True,
)
