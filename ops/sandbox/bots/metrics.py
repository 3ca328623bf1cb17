"""The bot's Prometheus metrics, read at each scrape. What is not known is absent, never zero."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .trading.loop import Worker

RESULTS = ("accepted", "rejected", "refused", "unknown")


class _BotCollector(Collector):
    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[Metric]:
        yield self._info()
        yield from self._counters()
        for name, text, value in self._gauges():
            if value is not None:
                yield GaugeMetricFamily(name, text, value=value)

    def _info(self) -> Metric:
        settings = self._worker.settings
        labels = ("mode", "instance")
        info = GaugeMetricFamily("bot_info", "Mode and instance of the process.", labels=labels)
        info.add_metric([settings.mode, settings.instance], 1)
        return info

    def _counters(self) -> Iterator[Metric]:
        pulse, desk = self._worker.pulse, self._worker.desk
        yield CounterMetricFamily("bot_loops", "Loops finished.", value=pulse.loops)
        yield CounterMetricFamily("bot_loop_errors", "Unhandled exceptions.", value=pulse.loop_errors)
        yield CounterMetricFamily("bot_fills", "Fills recorded.", value=desk.fills_recorded)
        orders = CounterMetricFamily("bot_orders", "Orders by what became of them.", labels=("result",))
        for result in RESULTS:
            orders.add_metric([result], desk.results[result])
        yield orders

    def _gauges(self) -> Iterator[tuple[str, str, float | None]]:
        worker = self._worker
        pulse, worst = worker.pulse, worker.worst_recent_slippage()
        last = None if pulse.last_loop_at is None else pulse.last_loop_at.timestamp()
        pnl = None if pulse.pnl_usd is None else float(pulse.pnl_usd)
        yield "bot_up", "1 while the process answers.", 1
        yield "bot_last_loop_timestamp_seconds", "End of the last loop.", last
        yield "bot_slippage_bps", "Worst of the last 20 fills.", None if worst is None else float(worst)
        yield "bot_daily_pnl_usd", "The account's equity against the last close.", pnl
        yield "bot_switch_tripped", "1 while the bot may not trade.", float(worker.stopped_by() is not None)
        yield "bot_size_multiplier", "Share of the full size.", float(worker.settings.size_multiplier)


def registry_of(worker: Worker) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_BotCollector(worker))
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """The text format of Prometheus."""
    return generate_latest(registry)
