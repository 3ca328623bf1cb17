"""One flip by our playbook in a process of its own. Words: hosts.yml, and a JSON file of requests by host."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ops.hosts.ansible import run_playbook

if __name__ == "__main__":
    replies = run_playbook("rollback.yml", Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
    sys.exit(0 if all(reply.ok for reply in replies.values()) else 1)
