"""Questions to a person. No terminal, end of input or another word means no."""

from __future__ import annotations

import sys

from ops.errors import Refused


def typed_name(name: str, what: str) -> None:
    """Returns only if the person typed the system's name. Raises Refused otherwise; nothing was changed."""
    if not sys.stdin.isatty():
        raise Refused(
            f"this needs a person at a terminal who types {name!r}; nothing was changed",
            remedy="run it in a terminal",
        )
    print(what)
    try:
        answer = input(f"Type {name} to go on, anything else to stop: ")
    except (EOFError, KeyboardInterrupt):
        answer = ""
    if answer.strip() != name:
        raise Refused(f"{name!r} was not typed; nothing was changed")
