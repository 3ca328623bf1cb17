"""What the bots did, by their own records and by the venue's: soak, reconciliation, statistics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from ops.checks.sight import Params, Sight
from ops.model.canonical import utc_time
from ops.model.outcome import Finding, Outcome
from ops.venues.protocol import FillView

# For so long a fill may be at the venue and not in the bot's records, or the other way round.
SYNC_MAX = timedelta(seconds=15)


def soak(sight: Sight, params: Params) -> Finding:
    """Whole consecutive UTC days up to yesterday, each without an exception, a gap or a loop in another mode.

    Judged from three sources: the loops in the audit database, the log, and fills at the paper venue.
    """
    wanted = int(params["days"])
    if sight.history.live:  # the records at hand are those of the live mode
        seen = "not asked while live: the days on paper were judged before the flip"
        return Finding("soak", Outcome.SKIPPED, seen, sight.at, f"{wanted} clean days")
    first = (sight.at - timedelta(days=wanted)).date()
    days = [(first + timedelta(days=n)).isoformat() for n in range(wanted)]
    problems: list[str] = []
    loops = 0
    if not sight.replies:
        return sight.finding("soak", None, "no host was asked", f"{wanted} clean days")
    for host in sight.replies:
        records = sight.evidence(host)
        if not records:
            return sight.finding("soak", None, f"{host}: its records cannot be read", f"{wanted} clean days")
        problems += [f"{host}: {text}" for text in _day_problems(sight, records, days)]
        loops += sum(records["loops"].get(day, {}).get("loops", 0) for day in days)
    fills = [f for f in sight.all_fills("paper") if f.at.date().isoformat() in days]
    problems += ["no paper venue shows a fill in that time"] if not fills else []
    seen = (
        "; ".join(problems[:4])
        or f"{wanted} days, {len(sight.replies)} hosts, {loops} loops, 0 exceptions, {len(fills)} fills"
    )
    remedy = "let it run on paper until the days are clean" if problems else ""
    return sight.finding("soak", not problems, seen, f"{wanted} consecutive clean days on paper", remedy)


def _day_problems(sight: Sight, records: Mapping[str, Any], days: Sequence[str]) -> list[str]:
    problems = []
    gap_max = sight.profile.evidence.soak_gap_max_minutes * 60
    for day in days:
        seen = records["loops"].get(day)
        if not seen:
            problems.append(f"{day}: no loop at all")
        elif seen["errors"] != 0:
            problems.append(f"{day}: {seen['errors']} loops failed")
        elif seen["modes"] != ["paper"]:
            problems.append(f"{day}: ran as {', '.join(seen['modes'])}")
        elif not seen["gap_max_s"] <= gap_max or _edge_gap_seconds(day, seen, days) > gap_max:
            problems.append(f"{day}: silent for more than {gap_max // 60} minutes")
    log = records["log"]
    problems += [f"log {e['at'][:19]}Z: {e['text'][28:90]}" for e in log["exceptions"] if e["at"][:10] >= days[0]]
    if not log["first_at"] or log["first_at"][:10] > days[0]:
        problems.append(f"the log begins only at {log['first_at'] or 'no time at all'}")
    if not log["last_at"] or utc_time(log["last_at"]) < utc_time(f"{days[-1]}T00:00:00Z"):
        problems.append(f"the log ends at {log['last_at'] or 'no time at all'}")
    return problems


def _edge_gap_seconds(day: str, seen: Mapping[str, Any], days: Sequence[str]) -> float:
    """The silence at the beginning of the first day, which no earlier loop bounds, and at the end of the last one."""
    start = utc_time(f"{day}T00:00:00Z")
    before = (utc_time(seen["first_at"]) - start).total_seconds() if day == days[0] else 0.0
    after = (start + timedelta(days=1) - utc_time(seen["last_at"])).total_seconds() if day == days[-1] else 0.0
    return max(before, after)


def reconcile(sight: Sight, params: Params) -> Finding:
    """Fills at the venue equal the bots' records in quantity and price.

    With scope `all`, every open order must be in a bot's records too.
    """
    internal = sight.rows("fills")
    if internal is None:
        return sight.finding("reconcile", None, "the bots' records cannot be read", "no difference")
    problems = _fill_differences(sight, sight.all_fills(sight.slot), internal)
    if params.get("scope") == "all":
        problems += _order_differences(sight)
    seen = "; ".join(problems[:5]) or f"{len(internal)} fills agree"
    remedy = "find the cause before size goes up: an order nobody knows is an order nobody manages" if problems else ""
    return sight.finding("reconcile", not problems, seen, "no difference", remedy)


def _fill_differences(sight: Sight, venue: Sequence[FillView], internal: Sequence[Mapping[str, Any]]) -> list[str]:
    ours = _totals((r["order_id"], f"{r['symbol']} {r['side']}", r["qty"], r["price"]) for r in internal)
    theirs = _totals((f.order_id, f"{f.symbol} {f.side}", f.qty, f.price) for f in venue)
    seen = [(f.order_id, f.at) for f in venue] + [(r["order_id"], utc_time(r["at"])) for r in internal]
    # Hosts and venue are not asked at one instant: at both ends of the window one may show what the other does not yet.
    first, last = sight.since + SYNC_MAX, sight.at - SYNC_MAX
    at_an_edge = {order for order, at in seen if not first <= at < last}
    problems = []
    for order in sorted((theirs.keys() | ours.keys()) - at_an_edge):
        here, there = ours.get(order), theirs.get(order)
        if here is None and there is not None:
            problems.append(f"the venue filled {there[0]} {there[1]} (order {order[:8]}) that no bot knows")
        elif there is None and here is not None:
            problems.append(f"a bot recorded {here[0]} {here[1]} (order {order[:8]}) that the venue does not show")
        elif here and there and not _agree(here, there, sight.profile.evidence.price_tolerance_bps):
            what, whose = f"{here[0]} {here[1]} at {here[2]:.4f}", f"{there[0]} {there[1]} at {there[2]:.4f}"
            problems.append(f"order {order[:8]}: recorded {what}, venue {whose}")
    return problems


Total = tuple[str, Decimal, Decimal]


def _totals(rows: Any) -> dict[str, Total]:
    """Per order: symbol and side, quantity, average price."""
    quantity: dict[str, Decimal] = defaultdict(Decimal)
    value: dict[str, Decimal] = defaultdict(Decimal)
    symbols: dict[str, str] = {}
    for order, symbol, qty, price in rows:
        quantity[order] += Decimal(qty)
        value[order] += Decimal(qty) * Decimal(price)
        symbols[order] = symbol
    return {order: (symbols[order], qty, value[order] / qty) for order, qty in quantity.items() if qty}


def _agree(here: Total, there: Total, tolerance_bps: Decimal) -> bool:
    return here[:2] == there[:2] and abs(here[2] - there[2]) * 10000 <= tolerance_bps * there[2]


def _order_differences(sight: Sight) -> list[str]:
    """Open orders at the venue that no bot has in its records."""
    known = sight.rows("orders")
    if known is None:
        return ["the bots' order records cannot be read"]
    ids = {row[name] for row in known for name in ("client_order_id", "order_id") if row.get(name)}
    fresh = sight.at - SYNC_MAX
    return [
        f"open order {sight.doors.order_name(venue, o)} ({o.symbol} {o.side} {o.qty}) is in no bot's records"
        for venue in sight.profile.venues
        for o in sight.open_orders(venue, sight.slot)
        if not {o.client_id, o.id} & ids and o.submitted_at < fresh
    ]


def paper_trades(sight: Sight, params: Params) -> Finding:
    """So many executions on the paper accounts lately: what was changed has been tried where it costs nothing."""
    since = sight.at - timedelta(hours=int(params.get("within_h", 24)))
    count = sum(fill.at >= since for venue in sight.profile.venues for fill in sight.fills(venue, "paper"))
    least = int(params["min"])
    return sight.finding("paper_trades", count >= least, f"{count} fills on paper", f"at least {least}")


def trade_stats(sight: Sight, params: Params) -> Finding:
    """One statistic over recorded trades against its bound; no trades prove nothing."""
    return {"slippage_bps": _slippage, "fill_vs_paper": _fill_vs_paper, "pnl_vs_expected": _pnl}[params["metric"]](
        sight
    )


def _slippages(rows: Sequence[Mapping[str, Any]]) -> list[Decimal]:
    """Cost against the price at decision, in basis points: positive is worse for us."""
    found = []
    for row in rows:
        if row.get("reference_price"):
            reference, price = Decimal(row["reference_price"]), Decimal(row["price"])
            sign = 1 if row["side"] == "buy" else -1
            found.append(sign * (price - reference) / reference * 10000)
    return found


def _slippage(sight: Sight) -> Finding:
    since = sight.at - timedelta(days=1)
    rows = [r for r in sight.rows("fills") or [] if utc_time(r["at"]) >= since]
    limit = sight.profile.limits.slippage_max_bps.value
    worst = max(_slippages(rows), default=None)
    seen = "no fills in the last day" if worst is None else f"worst of {len(rows)} fills {worst:.2f} bps"
    return sight.finding("trade_stats", None if worst is None else worst <= limit, seen, f"at most {limit} bps")


def _fill_vs_paper(sight: Sight) -> Finding:
    """The live fills of this look against the paper baseline that preflight recorded."""
    baseline = sight.history.evidence.get("paper_baseline")
    costs = _slippages(sight.rows("fills") or [])
    if baseline is None or not costs or not sight.history.live:
        return sight.finding("trade_stats", None, "no live fills or no paper baseline yet", "both")
    average, paper = sum(costs, Decimal(0)) / len(costs), Decimal(baseline["slippage_bps"])
    limit = sight.profile.evidence.fill_vs_paper_tolerance_bps
    seen = f"live {average:.2f} bps over {len(costs)} fills, paper {paper:.2f} bps"
    return sight.finding("trade_stats", abs(average - paper) <= limit, seen, f"within {limit} bps")


def average_slippage_bps(sight: Sight) -> Decimal | None:
    """The mean cost of all fills in the window: the paper baseline."""
    costs = _slippages(sight.rows("fills") or [])
    return sum(costs, Decimal(0)) / len(costs) if costs else None


def _pnl(sight: Sight) -> Finding:
    """Today's profit over all accounts; unknown if one of them does not say where the day began."""
    accounts = [sight.account(venue, sight.slot) for venue in sight.profile.venues]
    changes = [a.equity_usd - a.last_equity_usd for a in accounts if a.last_equity_usd is not None]
    limit = sight.profile.evidence.pnl_daily_tolerance_usd
    if len(changes) < len(accounts):
        return sight.finding(
            "trade_stats", None, "a venue does not show the equity of the day before", f"within {limit} USD"
        )
    profit = sum(changes, Decimal(0))
    return sight.finding("trade_stats", abs(profit) <= limit, f"{profit:.2f} USD today", f"within {limit} USD")
