"""API keys as Kalshi hands them out: an id, an RSA key pair, scopes; many may be valid at a time (venues.md 4.7).

A key id is a UUID and says nothing of its environment; the simulator lets demo keys begin with `de30` and live ones
with `11fe`, so that an order log can be judged by eye.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

PREFIX = {"paper": "de30", "live": "11fe"}
SCOPES = (
    "read",
    "write",
    "read::portfolio_balance",
    "read::block_trade_accept",
    "write::trade",
    "write::transfer",
    "write::block_trade_accept",
)
PURPOSES: dict[str, tuple[str, ...]] = {
    "bot": ("read", "write::trade"),
    "observer": ("read",),
    "kill": ("read", "write::trade"),
}
"""The least that each purpose needs. The venue has no scope that cancels and does not place."""
_PSS = PSS(mgf=MGF1(SHA256()), salt_length=32)


@dataclass(slots=True)
class Key:
    """What the venue keeps of a key: never the private half. `subaccount` is the one it is restricted to, if any."""

    key_id: str
    environment: str
    name: str
    public: str
    scopes: list[str]
    subaccount: int | None = None
    valid: bool = True

    def allows(self, scope: str) -> bool:
        """A parent scope grants its children."""
        return scope in self.scopes or scope.partition("::")[0] in self.scopes


class KeyRing:
    """All keys ever issued. Ids come from `entropy`; key pairs from the machine's own source, as they must."""

    def __init__(self, entropy: random.Random) -> None:
        self.issued: dict[str, Key] = {}
        self._entropy = entropy
        self._public: dict[str, RSAPublicKey] = {}

    def issue(self, environment: str, name: str, scopes: list[str], subaccount: int | None = None) -> tuple[Key, str]:
        """A new key and its private half: PKCS#8 DER in base64, on one line."""
        made = str(UUID(int=self._entropy.getrandbits(128), version=4))
        private = generate_private_key(65537, 2048)
        public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        key = Key(
            PREFIX[environment] + made[4:], environment, name, base64.b64encode(public).decode(), scopes, subaccount
        )
        self.issued[key.key_id] = key
        return key, base64.b64encode(_der(private)).decode()

    def known(self, environment: str, key_id: str) -> Key | None:
        """A valid key of that environment."""
        key = self.issued.get(key_id)
        return key if key is not None and key.valid and key.environment == environment else None

    def verifies(self, key: Key, signature: str, text: str) -> bool:
        """Whether the signature is RSA-PSS, SHA-256, salt 32, over exactly that text, by that key."""
        if key.key_id not in self._public:
            loaded = load_der_public_key(base64.b64decode(key.public))
            assert isinstance(loaded, RSAPublicKey)
            self._public[key.key_id] = loaded
        try:
            self._public[key.key_id].verify(base64.b64decode(signature, validate=True), text.encode(), _PSS, SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


def pem(secret: str) -> str:
    """A private half as the API shows it once: PEM."""
    lines = [secret[start : start + 64] for start in range(0, len(secret), 64)]
    first, last = (f"-----{edge} PRIVATE KEY-----" for edge in ("BEGIN", "END"))
    return "\n".join([first, *lines, last, ""])


def _der(private: RSAPrivateKey) -> bytes:
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
