"""The limits: two triggers that trip the switch, and the checks before each order. All pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

_BPS = Decimal(10_000)


@dataclass(frozen=True)
class Limits:
    """The bot's caps, from its environment."""

    loss_daily_max_usd: Decimal
    slippage_max_bps: Decimal
    order_notional_max_usd: Decimal
    position_max_usd: Decimal
    orders_per_day_max: int


@dataclass(frozen=True)
class Trigger:
    """One reading of a trigger; `value` is None while unknown, which does not trip and is not zero."""

    name: str
    value: Decimal | None
    limit: Decimal
    unit: str
    would_trip: bool

    def beyond(self) -> Trigger:
        """The same trigger with a reading just past its limit, for a drill."""
        sign = -1 if self.name == "daily_loss" else 1
        return replace(self, value=sign * (self.limit + 1), would_trip=True)

    def reason(self) -> str:
        return f"{self.name.replace('_', ' ')} {self.value} {self.unit} is beyond the limit {self.limit}"


@dataclass(frozen=True)
class Exposure:
    """What the bot already has at stake in one symbol, and how many orders it has sent today.

    `qty` counts open buy orders as if they were filled: an order that can fill is exposure. `at_stake_usd` is the same
    over all symbols, at the last price of each.
    """

    qty: Decimal
    orders_today: int
    at_stake_usd: Decimal = Decimal(0)


def daily_loss(pnl_usd: Decimal | None, limits: Limits) -> Trigger:
    """Trips when today's profit and loss is below minus the limit."""
    limit = limits.loss_daily_max_usd
    return Trigger("daily_loss", pnl_usd, limit, "USD", pnl_usd is not None and pnl_usd < -limit)


def slippage(worst_bps: Decimal | None, limits: Limits) -> Trigger:
    """Trips when the worst of the recent fills is above the limit."""
    limit = limits.slippage_max_bps
    return Trigger("slippage", worst_bps, limit, "bps", worst_bps is not None and worst_bps > limit)


def slippage_bps(side: str, price: Decimal, reference: Decimal) -> Decimal:
    """How much worse than the reference a fill was, in basis points; a better fill is negative."""
    against = price - reference if side == "buy" else reference - price
    return (against / reference * _BPS).quantize(Decimal("0.01"))


def worst(values: Iterable[Decimal]) -> Decimal | None:
    return max(values, default=None)


def refusal(side: str, qty: Decimal, price: Decimal, exposure: Exposure, limits: Limits) -> str | None:
    """Why an order must not be sent, or None. A sell only reduces the position, so its cap does not apply."""
    notional = qty * price
    if exposure.orders_today >= limits.orders_per_day_max:
        return f"limit: {exposure.orders_today} orders today, at most {limits.orders_per_day_max}"
    if notional > limits.order_notional_max_usd:
        return f"limit: order of {notional:.2f} USD, at most {limits.order_notional_max_usd}"
    position = exposure.qty * price + notional
    if side == "buy" and position > limits.position_max_usd:
        return f"limit: position would be {position:.2f} USD, at most {limits.position_max_usd}"
    return None
