"""The floor of the kill benchmark, as a process: per account, all at once, the bare requests and nothing around them.

Words: a JSON file of accounts (kind, endpoint, account, kill file, observer file), and `once` or `zero`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import Lock, Thread

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ops.kill.brake import open_brake
from ops.secrets import Credentials, Secrets

speaking = Lock()


def credentials(file: str | None) -> Credentials | None:
    return Secrets(Path(file).parent).credentials(Path(file).stem) if file else None


def stop(kind: str, endpoint: str, account: str, kill: str | None, observer: str | None) -> None:
    brake = open_brake(kind, endpoint, account, credentials(kill), credentials(observer))
    brake.cancel_all()
    still = [*brake.open_orders(True), *brake.open_orders(False)]
    while still and sys.argv[2] == "zero":
        still = [*brake.open_orders(True), *brake.open_orders(False)]
    with speaking:
        print("done", flush=True)


if __name__ == "__main__":
    for row in json.loads(Path(sys.argv[1]).read_text()):
        Thread(target=stop, args=row).start()
