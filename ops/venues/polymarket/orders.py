"""An order's identity at Polymarket, which keeps no client ids: the id is the EIP-712 hash of the signed order.

Of what is signed, three fields are ours to choose (venues 5.3): salt, timestamp, metadata. They are derived from the
client id (and the hour), so that:

- the same wish sent again within the hour is the same order to the venue: it answers `Duplicated`;
- an order that the venue shows can be recognised from the client id alone, without a record of our own: its hash,
  computed from what is shown and the client id, equals its id or does not. So a lost answer can be looked up by another
  process, as long as the order is open or has traded. One that was cancelled untraded is shown to nobody who does not
  know its hash; it can no longer do anything either.

The metadata is the client id in ASCII, or its SHA-256 if longer than 32 bytes; the venue's answers never show it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.exceptions import ValidationError
from py_clob_client_v2.config import get_contract_config
from py_clob_client_v2.order_utils import ExchangeOrderBuilderV2, OrderDataV2, Side, SignedOrderV2
from py_clob_client_v2.signer import Signer

from ops.errors import VenueError
from ops.venues.polymarket.rows import same_address
from ops.venues.polymarket.wire import CHAIN_ID, Watcher

HOUR_MS = 3_600_000
_MICRO = 1_000_000


def wallet_signer(private_key: str, account: str) -> Signer:
    """The wallet that signs. Raises VenueError if it is not the account's own (venues 5.3: signature type 0)."""
    try:
        signer = Signer(private_key, CHAIN_ID)
        address = signer.address()
    except (ValueError, TypeError, ValidationError) as error:
        raise VenueError(f"the wallet key of account {account} cannot be used: {type(error).__name__}") from None
    if not same_address(address, account):
        raise VenueError(f"the wallet key belongs to {address}, not to account {account}")
    return signer


class Drafts:
    """Builds the orders of one account, and recognises them."""

    def __init__(self, account: str, signer: Signer | Watcher) -> None:
        self._account, self._signer = to_checksum_address(account), signer

    def signed(
        self, client_id: str, token: str, side: str, size: tuple[Decimal, Decimal], made: tuple[int, bool]
    ) -> Any:
        """(order ready to be posted, its id). `size` is (shares, price), `made` (venue time in s, negative risk)."""
        seconds, neg_risk = made
        builder, data = self._builder(client_id, neg_risk), self._data(client_id, token, side, size)
        data.timestamp = str(_stamp_ms(client_id, seconds, 0))
        order = builder.build_order(data)
        typed = builder.build_order_typed_data(order)
        signature = builder.build_order_signature(typed)
        return SignedOrderV2(**vars(order), signature=signature), builder.build_order_hash(typed)

    def is_of(self, client_id: str, row: Mapping[str, Any], neg_risk: bool) -> bool:
        """Whether an order that the venue shows was sent under that client id."""
        size = Decimal(row["original_size"]), Decimal(row["price"])
        builder = self._builder(client_id, neg_risk)
        data = self._data(client_id, row["asset_id"], str(row["side"]).lower(), size)
        for stamp in self._stamps(client_id, int(row["created_at"])):
            data.timestamp = stamp
            if builder.build_order_hash(builder.build_order_typed_data(builder.build_order(data))) == row["id"]:
                return True
        return False

    def _stamps(self, client_id: str, created_at: int) -> Iterator[str]:
        """Of the hour in which the venue took the order, or the one before: it may have been on its way."""
        return (str(_stamp_ms(client_id, created_at, back)) for back in (0, 1))

    def _builder(self, client_id: str, neg_risk: bool) -> ExchangeOrderBuilderV2:
        contracts, salt = get_contract_config(CHAIN_ID), str(_digits(client_id, "salt") % 2**52)
        exchange = contracts.neg_risk_exchange_v2 if neg_risk else contracts.exchange_v2
        return ExchangeOrderBuilderV2(exchange, CHAIN_ID, self._signer, generate_salt=lambda: salt)

    def _data(self, client_id: str, token: str, side: str, size: tuple[Decimal, Decimal]) -> OrderDataV2:
        shares, money = (_micro(amount) for amount in (size[0], size[0] * size[1]))
        buys = side == "buy"
        return OrderDataV2(
            maker=self._account,
            signer=self._account,
            tokenId=token,
            makerAmount=str(money if buys else shares),
            takerAmount=str(shares if buys else money),
            side=Side.BUY if buys else Side.SELL,
            metadata="0x" + _metadata(client_id).hex(),
        )


def _micro(amount: Decimal) -> int:
    scaled = amount * _MICRO
    if scaled <= 0 or scaled != int(scaled):
        raise VenueError(f"Polymarket counts in millionths: {amount} cannot be ordered")
    return int(scaled)


def _stamp_ms(client_id: str, seconds: int, hours_back: int) -> int:
    """The order's own time: at most two hours old, never ahead, and another one for each client id (venues 5.3: it
    stands for uniqueness, it is no expiry)."""
    return (seconds * 1000 // HOUR_MS - hours_back) * HOUR_MS - _digits(client_id, "time") % HOUR_MS


def _digits(client_id: str, use: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{use} {client_id}".encode()).digest()[:8], "big")


def _metadata(client_id: str) -> bytes:
    raw = client_id.encode()
    return raw.ljust(32, b"\0") if len(raw) <= 32 else hashlib.sha256(raw).digest()
