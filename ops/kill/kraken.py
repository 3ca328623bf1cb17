"""The brake at Kraken spot, over plain HTTP: no client library to import, none to hang in.

Facts: venues.md section 3. Kraken has no halt that stays; CancelAll takes every order of the account and its answer
proves nothing; a key with query-open-trades and close-trades alone can cancel and cannot open. Refusals come under
HTTP 200 as E-strings. Private methods take JSON as well as forms; the signature covers the body's exact bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from threading import Lock
from typing import Any

from ops.kill.brake import CALL_MAX_SECONDS, Seen, VenueSilent
from ops.secrets import Credentials
from ops.web import NoAnswer, ask

NONCE_TRIES = 4
LOOKED_UP_AT_ONCE, LOOKUPS_MAX = 50, 5
CLOSED = ("closed", "canceled", "expired")
"""Every other status, also one that is not known here, is of an order that could still trade."""
PROTECTIVE = ("stop-loss", "trailing-stop")
_REFUSALS = ("EAPI:Invalid key", "EAPI:Invalid signature", "EGeneral:Permission denied", "ETrade:User Locked")
_LEGACY = ("XXBT", "XXDG", "XETH", "XLTC", "XXRP", "XXLM", "XXMR", "XZEC", "XETC", "XREP", "XMLN", "ZUSD", "ZEUR")
_RENAMED = {"XBT": "BTC", "XDG": "DOGE"}
_nonces: dict[str, int] = {}
_nonces_lock = Lock()


class KrakenBrake:
    """One account. Everything but positions works with the kill key alone."""

    halt_name = ""

    def __init__(self, endpoint: str, account: str, kill: Credentials | None, observer: Credentials | None) -> None:
        self._endpoint, self._kill, self._observer = endpoint.rstrip("/"), kill, observer
        self._shown: dict[str, Any] = {}

    def account(self) -> str:
        """The `iban` behind the kill key, without spaces: that it names the account is our reading of the field."""
        return str(self._ask(self._kill, "GetApiKeyInfo").get("iban")).replace(" ", "")

    def halt(self) -> None:
        """Kraken has none."""
        raise VenueSilent("Kraken has no halt of its own")

    def cancel_all(self) -> Sequence[str]:
        """Kraken says how many, not which."""
        self._ask(self._kill, "CancelAll")
        return ()

    def open_orders(self, newest_first: bool) -> Sequence[Seen]:
        """All at once: OpenOrders has no pages and no ends, so orders just shown are not asked for from the other end.

        As from the oldest, an empty list is held against what orders have reserved, if the observer's key can tell.
        """
        rows, self._shown = {} if newest_first else self._shown, {}
        if not rows:
            rows = self._ask(self._kill, "OpenOrders").get("open", [])
        if not isinstance(rows, dict):
            raise VenueSilent("the list of orders has an unknown shape")
        if not rows and not newest_first:
            self._nothing_reserved()
        if newest_first:
            self._shown = rows
        return [_seen(txid, row) for txid, row in rows.items()]

    def order(self, order_id: str) -> Seen:
        """QueryOrders, whatever the order's state."""
        return _seen(order_id, self._ask(self._kill, "QueryOrders", {"txid": order_id}).get(order_id))

    def ended(self, order_ids: Collection[str]) -> Collection[str]:
        """QueryOrders takes 50 ids, and a key that may query open orders may ask it (venues.md 3.3).

        So with few orders the whole proof stays below the least rate limit (3.8: 15 calls). One id that Kraken does not
        know makes the request fail: then nothing is named.
        """
        wanted = sorted(order_ids)[: LOOKED_UP_AT_ONCE * LOOKUPS_MAX]
        rows: dict[str, Any] = {}
        for start in range(0, len(wanted), LOOKED_UP_AT_ONCE):
            txid = ",".join(wanted[start : start + LOOKED_UP_AT_ONCE])
            try:
                rows |= self._ask(self._kill, "QueryOrders", {"txid": txid})
            except VenueSilent as error:
                if "EOrder:Unknown order" not in str(error):
                    raise
        return [txid for txid, row in rows.items() if not _seen(txid, row).open]

    def positions(self) -> Sequence[str]:
        """Each balance that is not USD, as `BTC/USD 0.5`."""
        held = {asset: qty for asset, (qty, _) in self._balances().items() if qty}
        return [f"{_code(asset)}/USD {qty.normalize():f}" for asset, qty in held.items() if _code(asset) != "USD"]

    def _nothing_reserved(self) -> None:
        try:
            reserved = {asset: held for asset, (_, held) in self._balances().items() if held}
        except VenueSilent:
            return  # the kill key alone must do
        if reserved:
            raise VenueSilent(f"no open order is listed but {', '.join(map(_code, reserved))} is reserved by orders")

    def _balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        try:
            return {
                asset: (Decimal(row["balance"]), Decimal(row["hold_trade"]))
                for asset, row in self._ask(self._observer, "BalanceEx").items()
            }
        except (KeyError, TypeError, InvalidOperation):
            raise VenueSilent("the balances have an unknown shape") from None

    def _ask(self, key: Credentials | None, method: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The result of a private method. A nonce that another process overtook is no answer: the next one is tried."""
        if key is None:
            raise VenueSilent(f"there is no key to ask {method} with")
        errors: list[str] = []
        for _ in range(NONCE_TRIES):
            errors, result = self._asked_once(key, method, params or {})
            if not errors:
                return result
            if not errors[0].startswith("EAPI:Invalid nonce"):
                break
        raise VenueSilent(f"{method}: {errors[0][:200]}", refused=errors[0].startswith(_REFUSALS))

    def _asked_once(self, key: Credentials, method: str, params: Mapping[str, str]) -> tuple[list[str], dict[str, Any]]:
        path = f"/0/private/{method}"
        body = {"nonce": str(_nonce(key.part("key"))), **params}
        try:
            headers = {"API-Key": key.part("key"), "API-Sign": _signature(key.part("secret"), path, body)}
            status, document = ask("POST", self._endpoint + path, headers, body, CALL_MAX_SECONDS)
        except NoAnswer as error:
            raise VenueSilent(f"no answer to {method} ({error})") from None
        except ValueError:
            raise VenueSilent("the key's secret is not base64") from None
        errors, result = _parts(document)
        if status != 200 or (not errors and not isinstance(result, dict)):
            raise VenueSilent(f"{method} answered HTTP {status} without a result")
        return errors, result


def _nonce(key: str) -> int:
    """ms, as bots on the same key have them, and strictly increasing in this process."""
    with _nonces_lock:
        _nonces[key] = max(time.time_ns() // 1_000_000, _nonces.get(key, 0) + 1)
        return _nonces[key]


def _signature(secret: str, path: str, body: Mapping[str, str]) -> str:
    """Over the bytes that `ops.web.ask` makes of the body. Raises ValueError for a secret that is not base64."""
    digest = hashlib.sha256((body["nonce"] + json.dumps(body)).encode()).digest()
    return base64.b64encode(hmac.digest(base64.b64decode(secret), path.encode() + digest, "sha512")).decode()


def _parts(document: Any) -> tuple[list[str], Any]:
    if not isinstance(document, dict) or not isinstance(document.get("error"), list):
        return [], None
    return [str(error) for error in document["error"]], document.get("result")


def _seen(txid: str, row: Any) -> Seen:
    try:
        told, status = row["descr"], str(row["status"])
        base = str(told["pair"]).removesuffix("USD")
        symbol = f"{_RENAMED.get(base, base)}/USD" if base != told["pair"] else base
        protective, alive = str(told["ordertype"]).startswith(PROTECTIVE), status not in CLOSED
        client_id, side, qty = str(row.get("cl_ord_id") or ""), str(told["type"]), str(row["vol"])
        return Seen(txid, client_id, symbol, side, qty, status, alive, protective)
    except (KeyError, TypeError, AttributeError):
        raise VenueSilent("an order has an unknown shape") from None


def _code(asset: str) -> str:
    """BTC for XXBT. Only the assets of the first years carry a class letter (X, Z): they are listed."""
    name = asset[1:] if asset in _LEGACY else asset
    return _RENAMED.get(name, name)
