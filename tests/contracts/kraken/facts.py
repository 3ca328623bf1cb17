"""What Kraken is like, for the clauses of the contract, and how its tests sign a request by themselves."""

from __future__ import annotations

import base64
import hashlib
import hmac
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import requests

from ops.sandbox.venues.kraken.keys import PERMISSIONS
from ops.venues.protocol import KeyView
from tests.contracts.rig import Facts, Parts

_OTHER_SECRET = "A" * 86 + "=="


def _view(purpose: str) -> KeyView:
    held = frozenset(PERMISSIONS[purpose])
    return KeyView(held, "modify-trades" in held, False)


KRAKEN = Facts(
    kind="kraken",
    numbers={"paper": "AA51N84GPAPR0001", "live": "AA51N84GLIVE0002"},
    paper={"paper": None, "live": None},
    symbols={"BTC/USD": Decimal(60_000), "ETH/USD": Decimal(3_000)},
    symbol="BTC/USD",
    qty=Decimal("0.01"),
    resting=Decimal(30_000),
    crossing=Decimal(63_000),
    client_id=lambda n: f"k1p{n:010d}a",
    page=50,
    key_views={purpose: _view(purpose) for purpose in PERMISSIONS},
    may={"bot": frozenset({"read", "trade", "cancel"}), "observer": frozenset({"read"}), "kill": frozenset({"cancel"})},
    flaws={
        "unknown": lambda parts: {**parts, "key": "paper" + "x" * 51},
        "wrong secret": lambda parts: {**parts, "secret": _OTHER_SECRET},
    },
    refused={
        "rate_limit": 429,
        "server_error": 500,
        "html_error": 520,
        "empty_body": None,
        "truncated_json": None,
        "revoked_keys": 401,
        "invalid_nonce": 409,
        "lockout": 429,
        "maintenance": 503,
    },
    writes_refused={"cancel_only": 503, "post_only": 503},
    lost_after=("hang_after", "gateway_timeout_after", "unavailable_after"),
    silent=("hang_before",),
    lies=("half_cancel", "stuck_cancel", "hidden_pages", "stale_orders", "wrong_account"),
    states={"maintenance": "maintenance", "cancel_only": "cancel_only", "post_only": "post_only"},
    filled="closed",
    canceled="canceled",
    timed=True,
)


def posted(base: str, method: str, parts: Parts, nonce: object, sign_as: str = "", **params: Any) -> dict[str, Any]:
    """The answer to one private request, signed as venues.md 3.2 says; `sign_as` signs another nonce instead."""
    path, body = f"/0/private/{method}", urlencode({"nonce": nonce, **params})
    digest = hashlib.sha256((sign_as or str(nonce)).encode() + body.encode()).digest()
    signature = hmac.digest(base64.b64decode(parts["secret"]), path.encode() + digest, "sha512")
    headers = {
        "API-Key": parts["key"],
        "API-Sign": base64.b64encode(signature).decode(),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(base + path, data=body, headers=headers, timeout=5)
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document
