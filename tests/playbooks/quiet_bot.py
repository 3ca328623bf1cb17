"""A bot without HTTP: it reads its gate on each loop, writes one line about itself, and takes drills from a file.

`HEEDS=no` in its environment makes it trade on behind a gate.
"""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path


def loop() -> None:
    request, stopped = Path("var/drill.request"), Path("interlock/gate").exists() and os.environ.get("HEEDS") != "no"
    if request.exists():
        asked = json.loads(request.read_text())
        request.unlink()
        answer = {"id": asked["id"], "status": 200, "answer": {"control": asked["control"], "would_trip": True}}
        Path("var/drill.new").write_text(json.dumps(answer))
        Path("var/drill.new").rename("var/drill.answer")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with Path("logs/system.log").open("a") as log:
        log.write(f"{now} mode={os.environ['TRADING_MODE']} switch={'tripped' if stopped else 'armed'}\n")


if __name__ == "__main__":
    Path("logs").mkdir(exist_ok=True)
    Path("var").mkdir(exist_ok=True)
    while True:
        loop()
        threading.Event().wait(0.05)
