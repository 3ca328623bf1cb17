"""API keys: bound to one account, each with its permissions and its own nonce."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ops.sandbox.venues.kraken.refusals import Refusal

PERMISSIONS: dict[str, tuple[str, ...]] = {
    "bot": ("query-funds", "query-open-trades", "query-closed-trades", "modify-trades", "close-trades"),
    "observer": ("query-funds", "query-open-trades", "query-closed-trades"),
    "kill": ("query-open-trades", "close-trades"),
}
"""Purpose -> the least that it needs (venues.md 3.3). A kill key can cancel and cannot open."""

NONCE_WINDOW = 10_000
"""How far behind the highest a nonce may come in (ms clocks: 10 s), so that requests may overtake each other."""
_KEY_LENGTH = 56
_ALPHABET = string.ascii_letters + string.digits + "+/"


@dataclass(slots=True)
class Key:
    """One key. The secret is kept as it is: a signature cannot be verified from less."""

    key_id: str
    environment: str
    name: str
    secret: str
    permissions: tuple[str, ...]
    issued_at: datetime
    nonce_window: int = NONCE_WINDOW
    nonce: int = 0
    floor: int = 0
    dirty: bool = True
    recent: set[int] = field(default_factory=set)

    def signed(self, path: str, nonce: str, body: bytes, signature: str) -> bool:
        """HMAC-SHA512 over path and SHA-256 of nonce and raw body (venues.md 3.2), compared in constant time."""
        message = path.encode() + hashlib.sha256(nonce.encode() + body).digest()
        right = hmac.new(base64.b64decode(self.secret), message, hashlib.sha512).digest()
        return hmac.compare_digest(base64.b64encode(right), signature.encode())

    def may_take(self, nonce: int) -> bool:
        """Above all before it, or within the window and not used yet. `floor`: the highest before a restart."""
        least = max(self.floor, self.nonce - self.nonce_window)
        return nonce > self.nonce or (nonce > least and nonce not in self.recent)

    def take(self, nonce: int) -> None:
        self.nonce, self.dirty = max(self.nonce, nonce), True
        self.recent.add(nonce)
        if len(self.recent) > 1000:
            self.recent = {known for known in self.recent if known > self.nonce - self.nonce_window}


class KeyRing:
    """All keys ever issued. `entropy` must be a cryptographic source outside tests."""

    def __init__(self, entropy: random.Random) -> None:
        self.issued: dict[str, Key] = {}
        self._entropy = entropy

    def restore(self, issued: Iterable[Key]) -> None:
        """Those of an earlier run: of their nonces only the highest is known, so none below it is taken any more."""
        for key in issued:
            key.floor = key.nonce
            self.issued[key.key_id] = key

    def moved(self) -> list[tuple[str, Key]]:
        """(id, key) of those that are new, or whose nonce moved, since the last time."""
        found = [(name, key) for name, key in self.issued.items() if key.dirty]
        for _, key in found:
            key.dirty = False
        return found

    def issue(self, environment: str, name: str, permissions: tuple[str, ...], at: datetime) -> Key:
        """A new key beside the others. Its id begins with the environment: the real ones say nothing of it."""
        rest = _KEY_LENGTH - len(environment)
        key_id = environment + "".join(self._entropy.choices(_ALPHABET, k=rest))
        secret = base64.b64encode(self._entropy.randbytes(64)).decode()
        key = self.issued[key_id] = Key(key_id, environment, name, secret, permissions, at)
        return key

    def admitted(self, environment: str, key_id: str, path: str, body: tuple[str, bytes], signature: str) -> Key:
        """The key of a request, `body` being its nonce and its raw bytes. Raises Refusal: key, nonce, signature."""
        nonce, raw = body
        key = self.issued.get(key_id)
        if key is None or key.environment != environment:
            raise Refusal("EAPI:Invalid key")
        if not nonce.isascii() or not nonce.isdigit() or int(nonce) >= 2**64 or not key.may_take(int(nonce)):
            raise Refusal("EAPI:Invalid nonce")
        if not key.signed(path, nonce, raw, signature):
            raise Refusal("EAPI:Invalid signature")
        key.take(int(nonce))
        return key
