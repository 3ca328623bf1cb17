"""The rules R1 to R12 of `risk_policy.yml`, and the caps of `approval_policy.yml`: read once, complete or refused.

Seed 004 names R11 (drawdown, 10 %), a trade below 5 % and an exposure below 95 % of the portfolio, and 5 errors in 10
minutes; what the other rules say is the reference bot's reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from ...environment import SettingsError
from ...trading.habits import Proposal


@dataclass(frozen=True)
class Standing:
    """What a rule may look at besides the proposal. None is not known, and refuses."""

    equity_usd: Decimal | None
    market_open: bool
    prices: tuple[Decimal, ...]


@dataclass(frozen=True)
class RiskPolicy:
    """The figures, by rule."""

    order_max_usd: Decimal
    order_max_shares: Decimal
    position_max_usd: Decimal
    trade_max_pct: Decimal
    exposure_max_pct: Decimal
    orders_daily_max: Decimal
    symbols: frozenset[str] | None
    regular_hours_only: bool
    price_range_max_pct: Decimal
    samples: int
    loss_daily_max_pct: Decimal
    drawdown_max_pct: Decimal
    errors_max: int
    errors_minutes: int

    def broken_by(self, proposal: Proposal, standing: Standing) -> str | None:
        """The first of R1 to R9 that a proposal breaks, or None."""
        order, exposure = proposal.order, proposal.exposure
        price_range = _range_pct(standing.prices)
        outside = self.symbols is not None and order.symbol not in self.symbols
        always = {
            "R2: shares of the order": order.qty > self.order_max_shares,
            "R6: orders today": exposure.orders_today >= self.orders_daily_max,
            "R7: symbol not allowed": outside,
            "R8: outside regular hours": self.regular_hours_only and not standing.market_open,
            f"R9: prices range over {price_range:.2f} %": price_range > self.price_range_max_pct,
        }
        broken = [text for text, is_broken in always.items() if is_broken]
        # A sell reduces: the caps on money would only keep a position open.
        if not broken and order.side == "buy":
            return self._too_much(proposal, standing.equity_usd)
        return broken[0] if broken else None

    def _too_much(self, proposal: Proposal, equity: Decimal | None) -> str | None:
        if equity is None or equity <= 0:
            return "R4: the equity is not known"
        order, exposure = proposal.order, proposal.exposure
        wanted = order.qty * order.limit_price
        position = exposure.qty * order.limit_price + wanted
        caps = {
            "R1: order in USD": (wanted, self.order_max_usd),
            "R3: position in USD": (position, self.position_max_usd),
            "R4: order in % of the equity": (wanted / equity * 100, self.trade_max_pct),
            "R5: exposure in % of the equity": ((exposure.at_stake_usd + wanted) / equity * 100, self.exposure_max_pct),
        }
        beyond = [f"{text} {value:.2f}, at most {cap}" for text, (value, cap) in caps.items() if value > cap]
        return beyond[0] if beyond else None


def _range_pct(prices: tuple[Decimal, ...]) -> Decimal:
    return (max(prices) - min(prices)) / min(prices) * 100 if prices else Decimal(0)


@dataclass(frozen=True)
class ApprovalPolicy:
    """Within these caps a token is granted at once."""

    approver: str
    order_max_usd: Decimal
    orders_daily_max: Decimal
    sides: frozenset[str]

    def grants(self, proposal: Proposal) -> bool:
        """Whether no person is needed."""
        order = proposal.order
        return (
            order.side in self.sides
            and order.qty * order.limit_price <= self.order_max_usd
            and proposal.exposure.orders_today < self.orders_daily_max
        )


def read_risk_policy(path: Path) -> RiskPolicy:
    """Raises SettingsError for a file that cannot be read or lacks a rule."""
    rules = _Document(path)
    symbols = rules.get("R7", "symbols")
    return RiskPolicy(
        order_max_usd=rules.number("R1", "max_order_usd"),
        order_max_shares=rules.number("R2", "max_order_shares"),
        position_max_usd=rules.number("R3", "max_position_usd"),
        trade_max_pct=rules.number("R4", "max_trade_pct"),
        exposure_max_pct=rules.number("R5", "max_exposure_pct"),
        orders_daily_max=rules.number("R6", "max_orders_per_day"),
        symbols=None if symbols == "*" else frozenset(symbols if isinstance(symbols, list) else ()),
        regular_hours_only=rules.get("R8", "regular_hours_only") is not False,
        price_range_max_pct=rules.number("R9", "max_price_range_pct"),
        samples=int(rules.number("R9", "samples")),
        loss_daily_max_pct=rules.number("R10", "max_loss_daily_pct"),
        drawdown_max_pct=rules.number("R11", "max_drawdown_pct"),
        errors_max=int(rules.number("R12", "max_errors")),
        errors_minutes=int(rules.number("R12", "within_minutes")),
    )


def read_approval_policy(path: Path) -> ApprovalPolicy:
    """Raises SettingsError for a file that cannot be read or lacks a cap."""
    caps = _Document(path)
    sides = caps.get("sides")
    return ApprovalPolicy(
        approver=str(caps.get("approver")),
        order_max_usd=caps.number("max_order_usd"),
        orders_daily_max=caps.number("max_orders_per_day"),
        sides=frozenset(sides if isinstance(sides, list) else ()),
    )


class _Document:
    """A YAML file whose values are asked for by their path."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        try:
            self._content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SettingsError(f"{self._name} cannot be read: {type(error).__name__}") from None

    def get(self, *keys: str) -> Any:
        value = self._content
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            raise SettingsError(f"{self._name}: {'.'.join(keys)} is missing")
        return value

    def number(self, *keys: str) -> Decimal:
        try:
            value = Decimal(str(self.get(*keys)))
        except InvalidOperation:
            value = Decimal(-1)
        if not value.is_finite() or value <= 0:
            raise SettingsError(f"{self._name}: {'.'.join(keys)} is not a number above 0")
        return value
