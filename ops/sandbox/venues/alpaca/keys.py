"""API keys as Alpaca's dashboard hands them out: bound to one environment, one valid pair at a time."""

from __future__ import annotations

import hashlib
import hmac
import random
import string
from dataclasses import dataclass
from datetime import datetime

PREFIX = {"paper": "PK", "live": "AK"}
_KEY_ALPHABET = string.ascii_uppercase + string.digits
_SECRET_ALPHABET = string.ascii_letters + string.digits


@dataclass(slots=True)
class Key:
    """What the venue keeps of a pair: the id and the secret's SHA-256, never the secret."""

    key_id: str
    environment: str
    secret_sha256: str
    issued_at: datetime
    valid: bool = True


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class KeyRing:
    """All pairs ever issued. `entropy` must be a cryptographic source outside tests."""

    def __init__(self, entropy: random.Random) -> None:
        self.issued: dict[str, Key] = {}
        self._entropy = entropy

    def issue(self, environment: str, at: datetime) -> tuple[str, str]:
        """A new pair (key id, secret). The earlier pairs of that environment stop working at once."""
        for key in self.issued.values():
            key.valid = key.valid and key.environment != environment
        key_id = PREFIX[environment] + "".join(self._entropy.choices(_KEY_ALPHABET, k=18))
        secret = "".join(self._entropy.choices(_SECRET_ALPHABET, k=40))
        self.issued[key_id] = Key(key_id, environment, _digest(secret), at)
        return key_id, secret

    def admits(self, environment: str, key_id: str, secret: str) -> bool:
        """Whether the pair is valid on that listener; the secret is compared in constant time."""
        key = self.issued.get(key_id)
        matches = hmac.compare_digest(key.secret_sha256 if key is not None else _digest(""), _digest(secret))
        return key is not None and matches and key.valid and key.environment == environment
