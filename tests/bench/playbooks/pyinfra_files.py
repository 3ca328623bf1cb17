"""The flip for pyinfra as people write it: a file, a service, a wait. BENCH_TEXT names the env file to put there,
BENCH_WAIT is the line for bash that waits."""

from __future__ import annotations

import os
import shlex

from pyinfra.operations import files, server, systemd

files.put(
    name="Write the settings",
    src=os.environ["BENCH_TEXT"],
    dest="/srv/small-bot/keys.env",
    mode="600",
    _sudo=True,
)
systemd.service(name="Restart the bot", service="small-bot", restarted=True, _sudo=True)
server.shell(name="Wait until it says the new mode", commands=["bash -c " + shlex.quote(os.environ["BENCH_WAIT"])])
