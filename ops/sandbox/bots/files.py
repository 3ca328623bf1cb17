"""Writing a small file whole: a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str, durable: bool = False) -> None:
    """Temp file and rename; with `durable` it is also on disk when this returns. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.new")
    with temp.open("w", encoding="utf-8") as stream:
        stream.write(text)
        if durable:
            stream.flush()
            os.fsync(stream.fileno())
    temp.replace(path)
