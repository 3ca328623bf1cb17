"""One venue account brought to zero open orders: halt, name, cancel, and read until two clean reads prove it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from ops.errors import InputError
from ops.kill.brake import Brake, VenueSilent, open_brake
from ops.kill.keys import Key, keys_for
from ops.kill.orders import Orders
from ops.kill.targets import VenueTarget
from ops.model.zero import ZeroProof

VENUE_MAX_SECONDS = 15.0
"""How long zero is tried for; a call that is under way and the last reads come on top, each with its own limit."""
PAUSES_SECONDS = (0.05, 0.05, 0.1, 0.1, 0.1, 0.2, 0.2, 0.4, 0.8)
"""Between reads: quick at first, then sparing with the venue's rate limit (Alpaca: 200 a minute)."""
CANCEL_AGAIN_SECONDS = 2.0
SETTLE_SECONDS = 0.5
"""Where no halt refuses it, an order that a bot sent before it was tripped may still be on its way for so long."""
BOTS_WAIT_SECONDS = 5.0
TOTAL_HALTS = ("suspend_trade",)
"""The halts that refuse every new order; Kalshi's binds only those that name an order group."""

Say = Callable[[str], None]


@dataclass
class VenueEnd:
    """How one account ended. `verified` means: zero open orders, seen; everything else is residue.

    `before`: open orders before the cancel, None if they could not be read. `named`: all orders seen or named; of them
    `looked_up` were seen ended. `halted`: the venue's own halt is set; None where it has none. `foreign` are not ours.
    `unprotected`: positions whose protective order went with the rest. `seconds`: from the kill's start to the proof.
    """

    venue: str
    slot: str
    sent: bool = False
    acknowledged: bool = False
    verified: bool = False
    halt: str = ""
    halted: bool | None = None
    before: int | None = None
    named: int = 0
    looked_up: int = 0
    seconds: str | None = None
    foreign: list[str] = field(default_factory=list)
    foreign_left: int | None = None
    left: list[str] = field(default_factory=list)
    positions: list[str] | None = None
    unprotected: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def account(self) -> str:
        """As people call it: `kraken live`."""
        return f"{self.venue} {self.slot}"

    @property
    def state(self) -> str:
        """The one word for the table."""
        words = ((self.verified, "verified zero"), (self.acknowledged, "acknowledged"), (self.sent, "sent"))
        return next((word for holds, word in words if holds), "UNKNOWN")


class Quiet:
    """Since when the bots that trade on an account have been dealt with; None while one of them is not yet."""

    def __init__(self, bots: int = 0) -> None:
        self._left, self._lock = bots, threading.Lock()
        self.since: float | None = None if bots else time.monotonic()

    def one_less(self) -> None:
        """A bot was tripped, or given up."""
        with self._lock:
            self._left -= 1
            if not self._left:
                self.since = time.monotonic()


class Stopping:
    """One account while it is being stopped. `end` can be read at any instant, also when `run` never returns."""

    def __init__(
        self,
        target: VenueTarget,
        say: Say,
        quiet: Quiet | None = None,
        seconds: float = VENUE_MAX_SECONDS,
        opens: Callable[..., Brake] = open_brake,
    ) -> None:
        self.target, self.end, self._opens = target, VenueEnd(target.venue, target.slot), opens
        self._say, self._quiet, self._seconds, self._began = say, quiet or Quiet(), seconds, time.monotonic()
        self._orders = Orders(target.order_prefixes)
        self._halt_ended, self._halt_problem = threading.Event(), "no answer"
        self._answered = False

    def run(self) -> VenueEnd:
        """Never raises for the venue's sake: what could not be done or seen stands in the end's problems."""
        try:
            self._take_keys()
            self._open()
        except (InputError, VenueSilent) as error:
            self.end.problems.append(f"no usable key: {error}")
            return self.end
        except (KeyError, ImportError) as error:
            self.end.problems.append(f"there is no brake for {self.target.kind} here ({type(error).__name__})")
            return self.end
        if self._brake.halt_name:
            self.end.halt, self.end.halted = self._brake.halt_name, False
            threading.Thread(target=self._halt, daemon=True).start()
        self._look_before()
        self._judge(self._to_zero())
        self._last_reads()
        self._wait_for_halt()
        return self.end

    def given_up(self, why: str) -> VenueEnd:
        """What there is to say of an account whose `run` is not waited for any longer."""
        seen = replace(self.end, verified=False)
        return replace(
            seen, problems=[*seen.problems, f"zero open orders not proven within {self._seconds:.0f} s: {why}"]
        )

    def _take_keys(self) -> None:
        target = self.target
        self._acting, unusable = keys_for("kill", target.kill_file, target.bot_files)
        self._reading, more = keys_for("observer", target.observer_file or target.kill_file, target.bot_files)
        unusable += [problem for problem in more if problem not in unusable]
        if not self._acting or not self._reading:
            raise InputError("; ".join(unusable))
        self.end.notes += unusable

    def _open(self) -> None:
        for verb, key in (("cancels", self._acting[0]), ("reads", self._reading[0])):
            note = f"{verb} with {key.named}"
            if not key.meant and note not in self.end.notes:
                self.end.notes.append(note)
        acting, reading = self._acting[0].credentials, self._reading[0].credentials
        self._brake: Brake = self._opens(self.target.kind, self.target.endpoint, self.target.account, acting, reading)

    def _refused(self, error: VenueSilent, keys: list[Key]) -> None:
        """Credentials that the venue refuses go to the end of the row; the next ones are tried."""
        if error.refused and len(keys) > 1:
            keys.append(keys.pop(0))
            with contextlib.suppress(InputError, VenueSilent):
                self._open()

    def _halt(self) -> None:
        """Beside the cancelling, so that neither waits for the other; tried again until the deadline."""
        for pause in self._pauses():
            try:
                with _heard():
                    self._brake.halt()
                self.end.halted = True
                break
            except VenueSilent as error:
                self._halt_problem = str(error)
                time.sleep(pause)
        self._halt_ended.set()

    def _pauses(self) -> Iterator[float]:
        """Growing, and none any more when the time is up."""
        until, given = self._began + self._seconds, 0
        while (left := until - time.monotonic()) > 0:
            yield min(left, PAUSES_SECONDS[min(given, len(PAUSES_SECONDS) - 1)])
            given += 1

    def _look_before(self) -> None:
        """How many are open, and whose they are, is known and said before they are cancelled.

        A key that is refused gives way at once: to say no is quick. Which of them a list takes is the brake's business.
        """
        problem = ""
        for keys in (*[self._reading] * len(self._reading), *[self._acting] * len(self._acting)):
            try:
                with _heard():
                    self.end.before = len(self._orders.listed(self._brake.open_orders(True)))
                self._answered = True
                break
            except VenueSilent as error:
                problem = str(error)
                if not error.refused:
                    break
                self._refused(error, keys)
        if self.end.before is None:
            self.end.notes.append(f"what was open before is UNKNOWN: {problem}")
        for order in self._orders.foreign():
            self._say(f"{self.target.name}: not ours, cancelled with the rest: {order}")

    def _to_zero(self) -> ZeroProof:
        """Every path is tried again until the deadline: what fails once (a 429, a time-out) may work the next time."""
        proof, again, asked = ZeroProof(), 0.0, frozenset[str]()
        for pause in self._pauses():
            if time.monotonic() >= again or (proof.left and proof.left - asked):
                self._cancel()
                again, asked = time.monotonic() + CANCEL_AGAIN_SECONDS, self._orders.ids
            unsettled = self._unsettled_seconds(pause)
            proof = self._read(proof)
            if proof.proven and not unsettled:
                break
            if proof.proven:
                proof = ZeroProof(1, proof.left, "a bot may still be placing orders")
            self._rest(PAUSES_SECONDS[0], unsettled) if proof.clean_reads else time.sleep(pause)
        return proof

    def _rest(self, pause: float, unsettled: float) -> None:
        """At least the pause; then until nothing can come in any more, which the halt may bring about earlier."""
        time.sleep(pause)
        if unsettled > pause:
            self._halt_ended.wait(unsettled - pause)

    def _unsettled_seconds(self, unknown: float) -> float:
        """How long an order that a bot sent before it was tripped may still come in; `unknown` if one is not yet."""
        now, since = time.monotonic(), self._quiet.since
        waited = now >= self._began + min(BOTS_WAIT_SECONDS, self._seconds / 2)
        if (self.end.halted and self.end.halt in TOTAL_HALTS) or (waited and self.end.acknowledged):
            return 0.0
        return unknown if since is None else max(0.0, since + SETTLE_SECONDS - now)

    def _cancel(self) -> None:
        """A lost answer must not keep us from looking."""
        self.end.sent = True
        try:
            with _heard():
                self._orders.named(self._brake.cancel_all())
            self.end.acknowledged = self._answered = True
        except VenueSilent as error:
            self._refused(error, self._acting)

    def _read(self, proof: ZeroProof) -> ZeroProof:
        try:
            with _heard():
                newest = self._orders.listed(self._brake.open_orders(True))
                proof = proof.read(newest, self._orders.listed(self._brake.open_orders(False)))
                self._answered = True
                alone = not self.end.acknowledged
                return self._orders.confirm(self._brake, proof, alone) if proof.clean_reads else proof
        except VenueSilent as error:
            self._refused(error, self._reading)
            return proof.failed(str(error))

    def _judge(self, proof: ZeroProof) -> None:
        end, foreign = self.end, self._orders.foreign()
        end.verified, end.named, end.looked_up = proof.proven, len(self._orders), self._orders.seen_ended
        end.foreign = [str(order) for order in foreign]
        if proof.proven:
            end.foreign_left, end.seconds = 0, f"{time.monotonic() - self._began:.2f}"
            return
        if proof.left is not None:
            end.left, end.foreign_left = self._orders.texts(proof.left), sum(o.id in proof.left for o in foreign)
        end.problems.append(f"zero open orders not proven within {self._seconds:.0f} s: {proof.problem}")

    def _last_reads(self) -> None:
        """Whose account it was, and what is held. A venue that never answered is not waited for once more."""
        if not self._answered:
            self.end.problems.append("account and positions UNKNOWN: the venue gave no answer at all")
            return
        self._prove_account()
        try:
            with _heard():
                self.end.positions = list(self._brake.positions())
        except VenueSilent as error:
            self.end.problems.append(f"positions UNKNOWN: {error}")
        for position in self.end.positions or ():
            self.end.unprotected += [f"{position} (was: {stop})" for stop in self._orders.protecting(position)]

    def _prove_account(self) -> None:
        try:
            with _heard():
                number = self._brake.account()
        except VenueSilent as error:
            self.end.problems.append(f"which account the key opens is UNKNOWN: {error}")
        else:
            if number == self.target.account:
                return
            self.end.problems.append(f"the key opens account {number}, not {self.target.account}")
        self.end.verified = False

    def _wait_for_halt(self) -> None:
        if self.end.halt:
            self._halt_ended.wait(max(0.0, self._began + self._seconds - time.monotonic()))
            if not self.end.halted:
                self.end.problems.append(f"{self.end.halt}: {self._halt_problem}")


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """Credentials that lack a part are as good as refused: others may be complete."""
    try:
        yield
    except InputError as error:
        raise VenueSilent(str(error), refused=True) from None
