"""Rehearsals on the running bot, the same for every system; only how they are asked for differs.

Over HTTP: `POST /drill?control=NAME`. Where there is no HTTP: the file `var/drill.request`, the JSON object
`{"control": "NAME"}` (an `id` in it is handed back), which the next loop takes away and answers in `var/drill.answer`
with `{"control": ..., "id": ..., "status": 200, "answer": {...}}`.

NAME: `replay` sends today's signals again, and none may become an order · `daily_loss`, `slippage` and each further
trigger of the bot: the next loop reads a value just beyond that limit, and the bot's own trigger does the rest ·
`would_trigger` asks what a trip would do, changes nothing and is the only one that a live bot takes · `end` ends a
rehearsal. Status as in HTTP: 200 done, 409 not now, 422 no such control, 503 the venue could not be read.
"""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..clock import day_start
from ..files import write_whole
from ..venue import VenueError
from .risk import Trigger
from .signals import signal_again

if TYPE_CHECKING:
    from .loop import Worker

REPLAY_MAX = 500
HOLD = timedelta(seconds=3)
"""How long a halt by a rehearsed trigger lasts where the gate is the only switch, so that nobody has to lift it."""

Answer = dict[str, Any]


class Drills:
    """The rehearsals that are going on in one bot."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._injected: set[str] = set()
        self._caused: tuple[str, datetime] | None = None

    # what the loop asks

    def applied(self, trigger: Trigger) -> Trigger:
        """The trigger as it reads during a drill."""
        return trigger.beyond() if trigger.name in self._injected else trigger

    def noted(self, trigger: Trigger) -> None:
        """Told that this trigger has tripped the switch."""
        if trigger.name in self._injected:
            self._caused = trigger.reason(), self._worker.clock.now()

    def over(self, reason: str) -> bool:
        """Whether a halt for this reason was only a drill's, and has lasted long enough to be seen."""
        return (
            self._caused is not None
            and self._caused[0] == reason
            and self._worker.clock.now() >= self._caused[1] + HOLD
        )

    def clear(self) -> None:
        """Ends all of them."""
        self._injected.clear()
        self._caused = None

    # what a person asks

    def run(self, control: str) -> tuple[int, Answer]:
        """(status, answer) of one control, as described above."""
        worker = self._worker
        if control == "would_trigger":
            return 200, {"would_trip": True, "stopped_by": worker.stopped_by()}
        if control not in ("replay", "end", *(trigger.name for trigger in worker.triggers())):
            return 422, {"detail": f"there is no drill {control[:40]!r}"}
        if worker.settings.mode == "live":
            return 409, {"detail": "drills run in paper mode only"}
        if control == "replay":
            return self._replayed()
        if control == "end":
            return 200, {"ended": self._end()}
        if worker.stopped_by() is not None:
            return 409, {"detail": "the bot is halted already: a trigger would prove nothing"}
        self.inject(control)
        return 200, {"control": control, "injected": True}

    def inject(self, name: str) -> None:
        """Let the next loop read a value just beyond that limit; the bot's own trigger does the rest."""
        self._injected.add(name)
        self._worker.log.warning("drill: %s injected", name)

    def _end(self) -> bool:
        """Lifts the halt that a drill has caused, and no other."""
        caused = self._caused
        self._injected.clear()
        return caused is not None and self._worker.rearm(caused[0])

    def _replayed(self) -> tuple[int, Answer]:
        try:
            return 200, dict(self.replay())
        except VenueError as error:
            return 503, {"detail": f"the venue could not be read: {error}"}

    def replay(self) -> dict[str, int]:
        """Send today's signals that led to orders (the last 500 at most) through the same pipeline again."""
        worker, settings = self._worker, self._worker.settings
        with worker.pipeline:
            ids = worker.audit.sent_signals(day_start(worker.clock.now()), REPLAY_MAX)
            quotes, markets = {}, {}
            for name, venue in worker.venues.items():
                quotes.update(venue.quotes(settings.symbols_of(name)) if ids else {})
                markets[name] = venue.market_open()
            signals = [signal_again(name, settings.signal_seconds) for name in dict.fromkeys(ids)]
            outcomes = [
                worker.desk.consider(s, quotes.get(s.symbol), markets[settings.symbols[s.symbol]]) for s in signals
            ]
        count = {
            "replayed": len(outcomes),
            "submitted": sum(outcome.word == "submit" for outcome in outcomes),
            "refused_duplicates": sum(outcome.duplicate for outcome in outcomes),
        }
        worker.log.info("drill: %s", count)
        return count

    def take_request(self) -> None:
        """Answers `var/drill.request`, if there is one; called by the loop of a bot without HTTP."""
        folder = self._worker.settings.home / "var"
        request = folder / "drill.request"
        try:
            text = request.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        asked: Any = None
        with contextlib.suppress(ValueError):
            asked = json.loads(text)
        request.unlink(missing_ok=True)
        asked = asked if isinstance(asked, dict) else {}
        control = str(asked.get("control", ""))
        status, answer = self.run(control)
        document = {"control": control, "id": asked.get("id"), "status": status, "answer": answer}
        write_whole(folder / "drill.answer", json.dumps(document) + "\n")
