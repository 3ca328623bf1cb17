"""Why a host is dark, in words a person can act on, from the last words of ssh, sudo or a shell.

Standard library only: the kill path uses it too.
"""

from __future__ import annotations

import re

# The order matters: the first that is found is the nearest to the cause. ssh's own words are those of OpenSSH 8 and 9.
CAUSES = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "host key changed: it is not the one in known_hosts; do not trust it"),
    ("Host key verification failed|No .* host key is known", "host key unknown: it does not stand in known_hosts"),
    ("a password is required|Missing sudo password", "sudo: a password is required (its user needs NOPASSWD)"),
    ("not in the sudoers file|is not allowed to execute", "sudo: its user may not become root"),
    ("sudo: (command )?not found", "sudo not found"),
    (r"Permission denied \(|Too many authentication failures", "permission denied: it does not take our key and user"),
    ("Could not resolve hostname", "its name cannot be resolved"),
    ("No route to host|Network is unreachable", "no route to it"),
    ("Connection refused", "connection refused: nothing listens there"),
    ("Timeout, server .* not responding", "it stopped answering in the middle"),
    ("timed out|[Tt]imeout", "no answer in time"),
    ("Connection (closed|reset)|kex_exchange_identification", "it closed the connection"),
    (r"python\S*: (command )?not found|python\S*: No such file or directory", "python3 not found"),
    ("unix_listener|ControlPath too long", "the folder of ssh's own sockets cannot be used"),
)
TEXT_MAX_CHARACTERS = 200


def dark_words(said: str) -> str:
    """The cause, then the very words; only those if the cause is not a known one; what says nothing is said to."""
    lines = [line.strip() for line in said.splitlines() if line.strip(" @\r")]
    for pattern, cause in CAUSES:
        line = next((line for line in lines if re.search(pattern, line)), None)
        if line is not None:
            return f"{cause} ({line[:TEXT_MAX_CHARACTERS]})"
    return lines[-1][:TEXT_MAX_CHARACTERS] if lines else "it said nothing"
