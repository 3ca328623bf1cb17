"""How a person's signature comes about: made here with their key, or handed in from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.errors import InputError, Refused
from ops.signatures import sign
from ops.tasks.asking import typed_name

if TYPE_CHECKING:
    from ops.model.plan import Plan


def armored_signature(plan: Plan, people: Mapping[str, Any], person: str, key: str, signature: str) -> str:
    """The armored signature. Raises InputError or Refused; a signature is made only after the name was typed."""
    if person not in people:
        raise InputError(f"{person} is not in people.yml", expected=f"one of: {', '.join(people)}")
    if bool(key) == bool(signature):
        raise InputError("one of --key and --signature is needed", remedy="name your private key with --key")
    if person == plan.requester:
        raise Refused(f"{person} asked for plan {plan.id} and may not sign it", remedy="let somebody else sign")
    if signature:
        return _read(Path(signature))
    typed_name(plan.system, plan.text)
    return sign(plan.text, plan.namespace, Path(key).expanduser())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the signature cannot be read: {type(error).__name__}", file=path) from None
