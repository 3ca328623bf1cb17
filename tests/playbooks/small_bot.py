"""The smallest bot that supervisord can run: it answers on a port with the mode that its environment says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.playbooks.bench import Api

if __name__ == "__main__":
    with Api(int(sys.argv[1]), os.environ["TRADING_MODE"]) as api:
        api.tripped = Path("interlock/gate").exists()
        api.loop_age_s = float(os.environ.get("LOOP_AGE", "0.1"))
        api.refuses = os.environ.get("REFUSES") == "yes"
        api.serve_forever(poll_interval=0.05)
