"""The one shape of env file that python-dotenv, bash and `docker --env-file` read alike.

`KEY=value`, ASCII key, LF, no BOM, no quotes, no inline comment, no duplicates. The host program
(`playbooks/library/interlock_host.py`) reads files by the same rules on its own; a property test holds
the two together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# Printable ASCII without what any of the readers treats specially: space # $ ' " \ back-tick, and what a shell would
# run or expand in an assignment: & ; | < > ( ) ~
_VALUE = re.compile(r"[!%*+,\-./0-9:=?@A-Z\[\]^_a-z{}]*\Z")


def unfit(key: str, value: str) -> str | None:
    """Why this pair cannot be written so that every reader agrees on it; None if it can. Never quotes the value."""
    if not _KEY.match(key):
        return f"{key!r} is not a plain ASCII variable name"
    if not _VALUE.match(value):
        return f"the value of {key} holds a character that readers of env files disagree on"
    return None


def render(pairs: Mapping[str, str]) -> str:
    """The file's text. Raises ValueError, naming the key and never the value, for a pair that is not fit."""
    for key, value in pairs.items():
        problem = unfit(key, value)
        if problem:
            raise ValueError(problem)
    return "".join(f"{key}={value}\n" for key, value in pairs.items())
