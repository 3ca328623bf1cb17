"""The faults of channels and monitoring, remembered across a restart of the world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ops.sandbox.faults import WORLD_FAULTS, FaultBoard


class WorldFaults:
    """One board, and the file that keeps what is on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.board = FaultBoard(WORLD_FAULTS, environments=())
        if path.exists():
            self.board.restore(json.loads(path.read_text()))

    def switch(self, name: str, on: bool, parameters: dict[str, Any]) -> None:
        """Raises ValueError for an unknown fault or parameter."""
        self.board.switch("", name, on, parameters)
        self._path.touch(mode=0o600)
        self._path.write_text(json.dumps(self.board.saved()))
