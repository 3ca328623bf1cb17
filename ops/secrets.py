"""The door to secrets at rest: one 0600 file per name. Values leave it only as handles, resolved where they are used.

Standard library only: the kill path reads credentials through it too.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets as random_source
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ops.errors import InputError

PARTS = ("key", "secret", "passphrase", "wallet")
"""What a pair may consist of: `KEY=` and `SECRET=` always, the others where the venue has them (Polymarket)."""


@dataclass(frozen=True)
class Credentials:
    """One set of credentials. Printing it shows nothing; its parts are read only where they are used."""

    name: str
    _parts: Mapping[str, str] = field(repr=False)

    def part(self, name: str) -> str:
        """One part in clear: key, secret, passphrase or wallet. Raises InputError if this set has none."""
        if name not in self._parts:
            raise InputError(f"the credentials {self.name} have no {name.upper()}", remedy=f"add {name.upper()}=...")
        return self._parts[name]

    def values(self) -> tuple[str, str]:
        """(key id, secret), in clear."""
        return self.part("key"), self.part("secret")

    def fingerprint(self, salt: str, part: str = "key") -> str:
        """What plans, ledger and reports show instead: a keyed digest of the key id, or of another part."""
        return fingerprint(self.part(part), salt)


def fingerprint(value: str, salt: str) -> str:
    """16 hex digits of HMAC-SHA256; the host program computes the same."""
    return hmac.new(salt.encode(), value.encode(), hashlib.sha256).hexdigest()[:16]


class Secrets:
    """A folder of secrets: `<name>.env` (KEY=, SECRET=), the same `.pending` and `.previous`, and `<name>.token`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str, state: str = "current") -> Path:
        """The file of a key pair in one of its states."""
        return self.folder / (f"{name}.env" if state == "current" else f"{name}.{state}.env")

    def has(self, name: str, state: str = "current") -> bool:
        """Whether there is such a key pair; it is not read."""
        return self.path(name, state).is_file()

    def credentials(self, name: str, state: str = "current") -> Credentials:
        """Raises InputError for a file that is missing, readable by others, incomplete or still a placeholder."""
        path = self.path(name, state)
        pairs: dict[str, str] = {}
        allowed = tuple(part.upper() for part in PARTS)
        for number, line in enumerate(self._read(path).splitlines(), 1):
            key, sign, value = line.partition("=")
            if line.strip() and not (sign and key in allowed and value.strip()):
                raise InputError("not a credentials line", file=path, line=number, expected="KEY=... or SECRET=...")
            if key in pairs:
                raise InputError(f"{key} stands twice", file=path, line=number, remedy="keep one of them")
            if line.strip():
                pairs[key] = value.strip()
        for key in ("KEY", "SECRET"):
            if key not in pairs:
                raise InputError(f"{key} is missing", file=path, expected="KEY=... and SECRET=...")
        for key, value in pairs.items():
            if _is_placeholder(value):
                raise InputError(f"{key} is still a placeholder", file=path, remedy="put the real value in")
        return Credentials(name, {key.lower(): value for key, value in pairs.items()})

    def token(self, name: str) -> str:
        """A one-line secret. Raises InputError as above."""
        value = self._read(self.folder / f"{name}.token").strip()
        if not value or _is_placeholder(value):
            raise InputError("the token is empty or still a placeholder", file=self.folder / f"{name}.token")
        return value

    def salt(self) -> str:
        """The key of this environment's fingerprints; made on first use."""
        path = self.folder / "fingerprint.salt"
        if not path.exists():
            self.store(path, random_source.token_hex(32) + "\n")
        return self._read(path).strip()

    def put(self, name: str, parts: Mapping[str, str], state: str = "current") -> None:
        """Writes a set of credentials (part -> value), 0600, in one rename."""
        self.store(self.path(name, state), "".join(f"{part.upper()}={value}\n" for part, value in parts.items()))

    def promote(self, name: str) -> None:
        """The pending pair becomes current, the current one previous."""
        if self.has(name):
            self.path(name).replace(self.path(name, "previous"))
        self.path(name, "pending").replace(self.path(name))

    @staticmethod
    def store(path: Path, text: str) -> None:
        """Writes a private file: temp file, fsync, rename. Raises InputError if the folder does not take it."""
        temp = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            temp.replace(path)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", file=path) from None

    def _read(self, path: Path) -> str:
        try:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise InputError("the file may be read by others", file=path, remedy=f"chmod 600 {path}")
            return path.read_text(encoding="ascii")
        except FileNotFoundError:
            waits = path.with_name(f"{path.stem}.pending.env").exists()
            remedy = "a pending one waits: invoke rotate-keys" if waits else "put it there, mode 0600"
            raise InputError("there is no such secret", file=path, remedy=remedy) from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {type(error).__name__}", file=path) from None


def _is_placeholder(value: str) -> bool:
    folded = value.casefold()
    return value.startswith(("[", "<")) or folded.startswith(("your_", "your-", "changeme", "test_key", "xxx"))
