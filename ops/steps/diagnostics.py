"""Diagnostics: what somebody will want to read afterwards, kept beside the ledger.

Removes nothing, undone by nothing.
"""

from __future__ import annotations

import json
from datetime import timedelta

from ops.errors import DoorError, InputError
from ops.model.step import Ended
from ops.steps.run import Run

WINDOW = timedelta(hours=1)


def diagnostics(run: Run) -> Ended:
    """The last hour of logs' exceptions, orders and fills of every host and of the venue, in one private file."""
    doors = run.doors
    since = doors.clock() - WINDOW
    replies = doors.fleet.look(since, run.slot_from)
    found: dict[str, object] = {host: reply.look for host, reply in replies.items()}
    for venue in doors.profile.venues:
        try:
            fills = doors.reader(venue, run.slot_from).fills_since(since)
            found[f"venue_fills/{venue}"] = [repr(fill) for fill in fills]
        except (DoorError, InputError) as error:
            found[f"venue_fills/{venue}"] = f"UNKNOWN: {error}"
    path = doors.place.state / "diagnostics" / f"{run.transition}.json"
    doors.secrets.store(path, json.dumps(found, indent=1, default=str))
    return Ended(f"kept in {path.name}", (), {"file": str(path)})
