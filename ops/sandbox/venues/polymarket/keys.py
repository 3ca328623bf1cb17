"""API keys as the venue makes them: L2 credentials bound to one wallet, made anew or derived again by (wallet, nonce).

They have no scopes (venues 5.7): any of them may cancel; placing also takes the wallet's signature. A read-only key is
the one exception.
"""

from __future__ import annotations

import base64
import hmac
import random
from collections.abc import Iterable
from uuid import UUID

from ops.sandbox.venues.polymarket.records import Key


class KeyRing:
    """Every key ever made in one environment. `entropy` must be a cryptographic source outside tests."""

    def __init__(self, environment: str, issued: Iterable[Key], entropy: random.Random) -> None:
        self.environment = environment
        self.issued = {key.id: key for key in issued}
        self._entropy = entropy

    def make(self, purpose: str, nonce: int | None = None) -> Key:
        """A new key, for the next free nonce if none is given."""
        if nonce is None:
            nonce = max((key.nonce for key in self.issued.values()), default=-1) + 1
        key = Key(
            id=str(UUID(bytes=self._entropy.randbytes(16), version=4)),
            environment=self.environment,
            secret=base64.urlsafe_b64encode(self._entropy.randbytes(32)).decode(),
            passphrase=self._entropy.randbytes(32).hex(),
            purpose=purpose,
            nonce=nonce,
        )
        self.issued[key.id] = key
        return key

    def of_nonce(self, nonce: int) -> Key | None:
        """The valid key made for that nonce."""
        return next((key for key in self.issued.values() if key.nonce == nonce and key.valid), None)

    def named(self, key_id: str, passphrase: str) -> Key | None:
        """The valid key with that id and passphrase; the signature is still to be checked."""
        key = self.issued.get(key_id)
        fits = hmac.compare_digest((key.passphrase if key else "").encode(), passphrase.encode())
        return key if key is not None and key.valid and fits else None

    def valid(self) -> list[str]:
        return [key.id for key in self.issued.values() if key.valid]
