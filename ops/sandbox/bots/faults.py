"""The sandbox's hook for making this bot misbehave: `<BOT_HOME>/var/faults.json`, absent in normal life.

`{"mode_lie": "live"}` lets the API report another mode · `{"raise": true}` raises in the loop ·
`{"hang": true}` stops the loop's progress · `{"ignore_switch": true}` keeps trading while it reports a halt.
"""

from __future__ import annotations

import json
from pathlib import Path


class Faults:
    """Reads the file at each question, so that a fault takes hold and leaves without a restart."""

    def __init__(self, home: Path) -> None:
        self._path = home / "var" / "faults.json"

    def _read(self) -> dict[str, object]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def on(self, name: str) -> bool:
        return self._read().get(name) is True

    def mode_shown(self, mode: str) -> str:
        """The mode the API reports: the true one unless told to lie."""
        lie = self._read().get("mode_lie")
        return lie if isinstance(lie, str) else mode
