"""A bare hand that signs for Kalshi, rightly or wrongly: for what the adapter would never send."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key

from ops.web import ask
from tests.contracts.kalshi.facts import TICKER
from tests.contracts.rig import Rig

ROOT = "/trade-api/v2"


class Hand:
    """One key at one listener. The attributes may be set to something wrong."""

    def __init__(self, url: str, parts: Mapping[str, str]) -> None:
        self.url, self.key_id, self.skew_ms, self.salt, self.signs = url, parts["key"], 0, 32, "{}"
        private = load_der_private_key(base64.b64decode(parts["secret"]), None)
        assert isinstance(private, RSAPrivateKey)
        self.private = private

    @classmethod
    def of(cls, rig: Rig, purpose: str = "bot", environment: str = "paper") -> Hand:
        return cls(rig.served.endpoints[environment], getattr(rig.keys(environment), purpose)._parts)

    def headers(self, method: str, path: str) -> dict[str, str]:
        at = str(time.time_ns() // 1_000_000 + self.skew_ms)
        text = self.signs.format(f"{at}{method}{ROOT}{path}").encode()
        signature = self.private.sign(text, PSS(mgf=MGF1(SHA256()), salt_length=self.salt), SHA256())
        return {
            "KALSHI-ACCESS-KEY": self.key_id,
            "KALSHI-ACCESS-TIMESTAMP": at,
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
        }

    def __call__(self, method: str, path: str, body: Any = None, query: str = "") -> tuple[int, Any]:
        return ask(method, f"{self.url}{ROOT}{path}{query}", self.headers(method, path), body)

    def create(self, **changed: Any) -> tuple[int, Any]:
        """A V2 create: a bid that rests, unless told otherwise; None takes a field out."""
        body = {
            "ticker": TICKER,
            "client_order_id": f"hand-{time.time_ns()}",
            "side": "bid",
            "count": "2.00",
            "price": "0.2000",
            "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "taker_at_cross",
            **changed,
        }
        return self("POST", "/portfolio/events/orders", {k: v for k, v in body.items() if v is not None})


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    """Status and the venue's word for an error, from whichever of its three shapes."""
    status, body = answer
    error = (body or {}).get("error", body or {})
    return status, str(error.get("code", "msg" if "msg" in error else ""))
