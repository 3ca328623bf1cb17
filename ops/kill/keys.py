"""Which credentials a kill tries: the ones with the least rights first, the bots' own last, and it says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.errors import InputError
from ops.secrets import Credentials, Secrets


@dataclass(frozen=True)
class Key:
    """Credentials to try. `named` says which they are; `meant` that they are the ones made for this purpose."""

    credentials: Credentials | None
    named: str
    meant: bool = True


def keys_for(purpose: str, meant: str | None, bots: Sequence[str]) -> tuple[list[Key], list[str]]:
    """What to try for a purpose, in order; and why the rest cannot be used.

    A pending pair comes next: one that was just made anew at the venue may have put the one in force to death already.
    A venue that knows no credentials (`meant` None, no bots) has one entry without any.
    """
    if meant is None and not bots:
        return [Key(None, "no credentials")], []
    found: list[Key] = []
    unusable: list[str] = []
    for file, state, named in _files(purpose, meant, bots):
        store = Secrets(Path(file).parent)
        name = Path(file).name.removesuffix(".env")
        if state == "current" or store.has(name, state):
            try:
                found.append(Key(store.credentials(name, state), named, (file, state) == (meant, "current")))
            except InputError as error:
                unusable.append(f"{named}: {error.text()}")
    return found, unusable


def _files(purpose: str, meant: str | None, bots: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    own = "the bot's" if meant in bots else f"the {purpose}"
    if meant is not None:
        yield meant, "current", f"{own} credentials"
        yield meant, "pending", f"{own} pending credentials"
    for file in bots:
        if file != meant:
            yield file, "current", "the bot's credentials"
            yield file, "pending", "the bot's pending credentials"
