"""What Polymarket verifies: EIP-712 of wallets (logins and orders) and the HMAC of API keys.

The hashes are built here from the structs (venues 5.2, 5.3) and share nothing with the client library.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from eth_keys.datatypes import PrivateKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

CHAIN_ID = 137
EXCHANGE, NEG_RISK_EXCHANGE = "0xE111180000d2663C0091e4f400237545B87B996B", "0xe2222d279d744050d28e00520010520000310F59"
ATTESTATION = "This message attests that I control the given wallet"
SIDES = {"BUY": 0, "SELL": 1}

_LOGIN = keccak(text="ClobAuth(address address,string timestamp,uint256 nonce,string message)")
_LOGIN_DOMAIN = keccak(
    keccak(text="EIP712Domain(string name,string version,uint256 chainId)")
    + keccak(text="ClobAuthDomain")
    + keccak(text="1")
    + CHAIN_ID.to_bytes(32, "big")
)
_ORDER = keccak(
    text="Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,"
    "uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)"
)
_EXCHANGE_DOMAIN = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


class BadOrder(ValueError):
    """The order's JSON cannot be an order of version 2."""


def wallet_key(environment: str) -> str:
    """The private key of an environment's wallet, as 0x and 64 digits: the same in every world, worth nothing."""
    return "0x" + keccak(text=f"interlock sandbox polymarket wallet {environment}").hex()


def wallet_address(environment: str) -> str:
    """The account number that a world must name for this environment: the wallet's address with its checksum."""
    return _address(PrivateKey(bytes.fromhex(wallet_key(environment)[2:])).public_key.to_canonical_address())


def login_signer(address: str, timestamp: str, nonce: int, signature: str) -> str:
    """Whose signature the L1 headers bear; empty if nobody's."""
    body = keccak(_LOGIN + _of_address(address) + keccak(text=timestamp) + _word(nonce) + keccak(text=ATTESTATION))
    return recovered(_digest(_LOGIN_DOMAIN, body), signature)


def order_hash(order: Mapping[str, Any], neg_risk: bool = False) -> bytes:
    """The order's EIP-712 hash for the exchange of version 2: its id. Raises BadOrder."""
    try:
        fields = (
            _word(int(order["salt"])),
            _of_address(order["maker"]),
            _of_address(order["signer"]),
            *(_word(int(order[name])) for name in ("tokenId", "makerAmount", "takerAmount")),
            _word(SIDES[order["side"]]),
            _word(int(order["signatureType"])),
            _word(int(order["timestamp"])),
            *(_bytes32(order[name]) for name in ("metadata", "builder")),
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        raise BadOrder("Invalid order payload") from None
    contract = NEG_RISK_EXCHANGE if neg_risk else EXCHANGE
    named = keccak(text="Polymarket CTF Exchange") + keccak(text="2") + _word(CHAIN_ID) + _of_address(contract)
    return _digest(keccak(_EXCHANGE_DOMAIN + named), keccak(_ORDER + b"".join(fields)))


def recovered(digest: bytes, signature: str) -> str:
    """The address that signed; empty if the signature is none."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
        signed = Signature(raw[:64] + bytes([raw[64] - 27])) if len(raw) == 65 else None
        return _address(signed.recover_public_key_from_msg_hash(digest).to_canonical_address()) if signed else ""
    except (ValueError, BadSignature, ValidationError):
        return ""


def request_mac(secret: str, timestamp: str, method: str, path: str, body: bytes) -> str:
    """The L2 signature of one request: url-safe base64 of HMAC-SHA256 over time, verb, path and raw body."""
    message = f"{timestamp}{method}{path}".encode() + body
    return base64.urlsafe_b64encode(
        hmac.new(base64.urlsafe_b64decode(secret), message, hashlib.sha256).digest()
    ).decode()


def _digest(domain: bytes, struct: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain + struct)


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _of_address(address: str) -> bytes:
    raw = bytes.fromhex(address.removeprefix("0x"))
    if len(raw) != 20:
        raise ValueError("not an address")
    return raw.rjust(32, b"\0")


def _bytes32(text: str) -> bytes:
    raw = bytes.fromhex(text.removeprefix("0x"))
    if len(raw) != 32:
        raise ValueError("not 32 bytes")
    return raw


def _address(raw: bytes) -> str:
    return str(to_checksum_address(raw))
