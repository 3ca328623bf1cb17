"""Runs one transition: intent in the ledger, act, look again, outcome in the ledger.

Decides nothing by itself (kernel.py).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from ops.doors import Doors
from ops.errors import DoorError, InputError
from ops.ledger.store import LedgerUnavailable
from ops.model.canonical import utc_text
from ops.model.history import Transition
from ops.model.plan import Plan
from ops.model.step import Ended
from ops.steps.run import Run
from ops.transitions import proofs
from ops.transitions.halt import halt_mark
from ops.transitions.kernel import Next, decide
from ops.transitions.paths import PATHS, Move
from ops.transitions.progress import Progress


@dataclass(frozen=True)
class Outcome:
    """How a transition ended: committed, or why it must turn back, or what it could not prove on its way down."""

    committed: bool
    why: str = ""
    residue: tuple[str, ...] = ()


class Engine:
    """Drives the moves of one path for one run."""

    def __init__(self, doors: Doors, progress: Progress, plan: Plan | None = None) -> None:
        self._doors, self._progress, self._plan = doors, progress, plan
        self._halt = ""
        self._residue: list[str] = []

    def run(self, run: Run, transition: Transition) -> Outcome:
        """To the end of the path. The caller has opened the transition in the ledger and will close it."""
        policy, moves = PATHS[transition.verb]
        table = {move.name: move for move in moves}
        with self._signals():
            while True:
                decision = decide(list(table), policy == "raise", transition, self._halt_asked(run))
                if decision.next is Next.TURN_BACK:
                    return Outcome(False, decision.why)
                if decision.next is Next.COMMIT:
                    return Outcome(True, residue=tuple(dict.fromkeys(self._residue)))
                try:
                    self._make(run, table[decision.move], transition, policy == "lower")
                except LedgerUnavailable as error:  # on the way up: no effect without a durable intent
                    return Outcome(False, str(error))

    def _make(self, run: Run, move: Move, transition: Transition, lowering: bool) -> None:
        """One move. On the way up nothing happens without a durable intent; on the way down nothing waits for one."""
        self._record("step.intended", {"transition": run.transition, "step": move.name}, lowering)
        transition.intended.append(move.name)
        self._progress.begins(run.verb, move.name, move.title)
        ended = self._go(run, move)
        self._progress.ends(move.name, ended)
        run.done[move.name] = {**ended.evidence, "at": utc_text(self._doors.clock())}
        if ended.proven:
            run.proven.add(move.name)
            transition.done[move.name] = run.done[move.name]
            body = {
                "transition": run.transition,
                "step": move.name,
                "seen": ended.seen,
                "evidence": run.done[move.name],
            }
            self._record("step.done", body, lowering)
            return
        reason = "; ".join(ended.problems)
        transition.unproven.add(move.name)
        transition.failed = transition.failed or f"{move.name}: {reason}"
        self._residue += [f"{move.name}: {problem}" for problem in ended.problems]
        self._record("step.failed", {"transition": run.transition, "step": move.name, "reason": reason}, True)

    def _go(self, run: Run, move: Move) -> Ended:
        try:
            if move.name == "sign-off":
                return self._sign_off(run)
            return move.go(run)
        except DoorError as error:
            return Ended("unknown", (f"UNKNOWN: {error}",))
        except InputError as error:
            return Ended("refused", (error.text(),))
        except LedgerUnavailable as error:
            return Ended("unknown", (str(error),))
        except Exception as error:  # the one place: a fault in a step must still end in a safe state
            return Ended("fault", (f"a fault in Interlock: {type(error).__name__} in {_where(error)}",))

    def _sign_off(self, run: Run) -> Ended:
        if self._plan is None:
            return Ended("no plan", ("there is no plan to verify signatures over",))
        return proofs.sign_off(run, self._plan, str(run.done["prove-again"]["at"]))

    def _record(self, kind: str, body: Mapping[str, object], lowering: bool) -> None:
        try:
            self._doors.ledger.append(kind, {"system": self._doors.profile.system, **body})
        except LedgerUnavailable:
            if not lowering:
                raise
            self._residue.append("the ledger could not be written")

    def _halt_asked(self, run: Run) -> str:
        """A signal to this process, or a mark left since the transition was opened."""
        # Not "newer": a clock that was set back must not hide a kill.
        return "somebody killed or rolled back meanwhile" if halt_mark(self._doors) != run.halt_mark else self._halt

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C, a closed terminal or a stop request let the move in hand finish; then the way back begins."""

        def asked(number: int, frame: FrameType | None) -> None:
            self._halt = f"{signal.Signals(number).name} was received"
            self._progress.note(f"{self._halt}: finishing this step, then going to a safe state")

        before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _where(error: BaseException) -> str:
    """Module and line of the fault, without values: a traceback with locals could show a secret."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "nowhere" if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
