"""Trips the bot before its service manager ends the process: `interlock_stop.py stop.json`, an ExecStop of its unit.

{"gate", "url", "method", "path", "body"} for a call of the bot's API, or {"gate", "file", "text"} for a file of its
own. Does nothing when the gate stands, since then the bot is tripped, and nothing when the process is gone already,
since then there is nobody to tell. Standard library only; gives up after its deadlines, and the stop goes on.
"""

import http.client
import json
import os
import sys
import time
import urllib.parse

CALL_MAX_SECONDS = 10
# So long a bot that reads its switch file on each loop may take to heed it.
HEED_SECONDS = 6


def main():
    with open(sys.argv[1], encoding="utf-8") as stream:
        wish = json.load(stream)
    pid = int(os.environ.get("MAINPID") or 0)
    if os.path.lexists(wish["gate"]) or not alive(pid):
        return
    if "file" in wish:
        write(wish)
        until = time.monotonic() + HEED_SECONDS
        while alive(pid) and time.monotonic() < until:
            time.sleep(0.1)
        return
    call(wish)


def alive(pid):
    return pid > 0 and os.path.isdir(f"/proc/{pid}")


def write(wish):
    """As the owner of the folder: a link that a bot planted there leads nowhere that the bot may not write itself."""
    owner = os.stat(os.path.dirname(wish["file"]))
    os.setgroups([])
    os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
    os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
    temp = f"{wish['file']}.stop"
    with open(temp, "w", encoding="utf-8") as stream:
        stream.write(wish["text"] + "\n")
    os.replace(temp, wish["file"])


def call(wish):
    parts = urllib.parse.urlsplit(wish["url"])
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=CALL_MAX_SECONDS)
    headers = {"Content-Type": "application/json"} if wish["body"] else {}
    connection.request(wish["method"], parts.path.rstrip("/") + wish["path"], wish["body"].encode() or None, headers)
    answer = connection.getresponse()
    answer.read(1_000_000)
    if not 200 <= answer.status < 300:
        sys.exit(f"the bot answered HTTP {answer.status}: it may not be tripped")


if __name__ == "__main__":
    main()
