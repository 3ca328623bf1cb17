"""What the assistant of seed 004 does in the loop: its rules, its approvals, and the file of its kill switch.

`data/kill_switch_state.txt` holds one native word: ACTIVE means that it may trade, TRIGGERED that it is halted
(contradiction C1). Anything but ACTIVE in it halts the bot, so a stop can be written there with the process up or down;
ACTIVE written by hand arms nothing. It starts halted, always (contradiction C21).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from ...files import write_whole
from ...trading.drawdown import DrawdownGuard
from ...trading.habits import Habits, Proposal
from ...trading.risk import Trigger
from .approvals import Approvals
from .policy import ApprovalPolicy, RiskPolicy, Standing

if TYPE_CHECKING:
    from ...trading.loop import Worker

MAY_TRADE, HALTED = "ACTIVE", "TRIGGERED"
_PERCENT = Decimal("0.01")


class Assistant(Habits):
    """The habits of seed 004."""

    def __init__(self, policy: RiskPolicy, approvals: ApprovalPolicy) -> None:
        self.policy, self.approvals = policy, Approvals(approvals)
        self.drawdown = DrawdownGuard(policy.drawdown_max_pct)
        self._errors: deque[datetime] = deque()

    # the kill switch and its file

    @staticmethod
    def state_file(worker: Worker) -> Path:
        """Where the word stands."""
        return worker.settings.home / "data" / "kill_switch_state.txt"

    def attach(self, worker: Worker) -> None:
        """Opens the tables and writes the word."""
        self.approvals.open(worker)
        self.drawdown.open(worker)
        self._show(worker)

    def begin(self, worker: Worker) -> None:
        """Heeds a word that somebody else wrote."""
        with worker.switching:
            if worker.switch.state.tripped:
                return
            try:
                word = self.state_file(worker).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                word = "unreadable"
            if word != MAY_TRADE:
                worker.trip(f"kill_switch_state.txt: {word[:40]}")

    def switched(self, worker: Worker) -> None:
        """Shows it at once; whoever armed it has looked at the errors before."""
        if not worker.switch.state.tripped:
            self._errors.clear()
        self._show(worker)

    def _show(self, worker: Worker) -> None:
        word = HALTED if worker.switch.state.tripped else MAY_TRADE
        write_whole(self.state_file(worker), f"{word}\n", durable=True)

    # rules

    def triggers(self, worker: Worker) -> Sequence[Trigger]:
        """R10, R11 and R12."""
        loss, loss_max = self._loss_pct(worker), self.policy.loss_daily_max_pct
        errors, errors_max = Decimal(len(self._errors)), Decimal(self.policy.errors_max)
        return (
            Trigger("loss", loss, loss_max, "%", loss is not None and loss > loss_max),
            self.drawdown.trigger(worker),
            Trigger("errors", errors, errors_max, f"in {self.policy.errors_minutes} min", errors >= errors_max),
        )

    def _loss_pct(self, worker: Worker) -> Decimal | None:
        pnl, equity = worker.pulse.pnl_usd, worker.pulse.equity_usd
        if pnl is None or not equity:
            return None
        return max(Decimal(0), -pnl / equity * 100).quantize(_PERCENT)

    def refuse(self, worker: Worker, proposal: Proposal) -> str | None:
        """The rules first, then the token: one that is used up was used for an order."""
        standing = Standing(
            equity_usd=worker.pulse.equity_usd,
            market_open=bool(worker.pulse.market_open),
            prices=_prices(worker, proposal.order.symbol, self.policy.samples),
        )
        return self.policy.broken_by(proposal, standing) or self.approvals.use_token(worker, proposal)

    def end(self, worker: Worker) -> None:
        """Counts errors for R12, closes old proposals, shows the switch."""
        now = worker.clock.now()
        if worker.pulse.last_error is not None:
            self._errors.append(now)
        while self._errors and self._errors[0] < now - timedelta(minutes=self.policy.errors_minutes):
            self._errors.popleft()
        self.approvals.expire(worker)
        with worker.switching:
            if self._word_differs(worker):
                self._show(worker)

    def _word_differs(self, worker: Worker) -> bool:
        """ACTIVE while halted is put right here; TRIGGERED while armed is left for `begin`, which heeds it."""
        if not worker.switch.state.tripped:
            return False
        path = self.state_file(worker)
        return not path.exists() or path.read_text(encoding="utf-8", errors="replace").strip() != HALTED


def _prices(worker: Worker, symbol: str, count: int) -> tuple[Decimal, ...]:
    """The last prices at which this bot dealt in a symbol."""
    query = "SELECT price FROM fills WHERE symbol = ? ORDER BY at DESC LIMIT ?"
    with worker.audit.own_tables() as connection:
        return tuple(Decimal(row[0]) for row in connection.execute(query, (symbol, count)))
