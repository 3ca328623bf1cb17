"""Scrapes the bots' /metrics for real, every scrape interval, and writes `up` as Prometheus does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import httpx
from prometheus_client.parser import text_string_to_metric_families

from ops.sandbox.clock import WorldClock
from ops.sandbox.faults import EVERYWHERE, FaultBoard
from ops.sandbox.monitoring.samples import Labels, Sample, SampleStore
from ops.sandbox.world.config import Prometheus

TIMEOUT_SECONDS = 2.0


@dataclass(slots=True)
class Target:
    """One endpoint of a job and the outcome of its latest scrape."""

    job: str
    instance: str
    address: str
    health: str = "unknown"
    last_error: str = ""
    last_scrape_at: datetime | None = None
    last_duration_s: float = 0.0
    live: frozenset[tuple[str, Labels]] = frozenset()

    @property
    def labels(self) -> dict[str, str]:
        return {"job": self.job, "instance": self.instance}

    @property
    def url(self) -> str:
        return f"http://{self.address}/metrics"


class Scraper:
    """Every target once per interval, each on its own: one that hangs delays nobody else."""

    def __init__(self, samples: SampleStore, config: Prometheus, clock: WorldClock, faults: FaultBoard) -> None:
        where = config.addresses
        self.targets = [Target(job, one, where.get(one, one)) for job, known in config.jobs.items() for one in known]
        self.interval_seconds = config.scrape_seconds
        self._samples = samples
        self._clock = clock
        self._faults = faults

    async def run(self) -> None:
        timeout = httpx.Timeout(TIMEOUT_SECONDS)
        async with httpx.AsyncClient(trust_env=False, timeout=timeout) as client:
            await asyncio.gather(*(self._watch(client, target) for target in self.targets))

    async def _watch(self, client: httpx.AsyncClient, target: Target) -> None:
        while True:
            if not self._faults.is_on("scrape_stopped", EVERYWHERE):
                await self.scrape(client, target)
            await asyncio.sleep(self.interval_seconds)

    async def scrape(self, client: httpx.AsyncClient, target: Target) -> None:
        """One scrape. Failure is data, not an exception: up becomes 0 and the target's series end."""
        started = self._clock.wall()
        at_s = started.timestamp()
        try:
            answer = await client.get(target.url)
            answer.raise_for_status()
            rows = list(_rows(answer.text))
            target.health, target.last_error = "up", ""
        except (httpx.HTTPError, ValueError) as error:
            rows = []
            target.health, target.last_error = "down", str(error) or type(error).__name__
        target.last_scrape_at = started
        target.last_duration_s = (self._clock.wall() - started).total_seconds()
        self._keep(target, rows, at_s)

    def _keep(self, target: Target, rows: list[tuple[str, dict[str, str], float]], at_s: float) -> None:
        seen = set()
        for name, labels, value in rows:
            full = {**labels, **target.labels}
            self._samples.append(name, full, Sample(at_s, value))
            seen.add((name, frozenset(full.items())))
        self._samples.retire(target.live - seen, at_s)
        target.live = frozenset(seen)
        self._samples.append("up", target.labels, Sample(at_s, 1.0 if target.health == "up" else 0.0))


def _rows(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of an exposition. Raises ValueError where the text breaks the format."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, dict(sample.labels), float(sample.value)
