"""Scraped samples in memory, with Prometheus' rule of staleness."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LOOKBACK_SECONDS = 300.0
"""An instant query sees samples at most this old (Prometheus' query.lookback-delta)."""
KEPT_SAMPLES = 3_600

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """`at_s` in Unix seconds; `value` None is a staleness marker: from there on the series is gone."""

    at_s: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """A series' value at the instant of a query, with the time of the sample it comes from."""

    name: str
    labels: Labels
    value: float
    sampled_at_s: float


@dataclass(slots=True)
class SampleStore:
    """The newest KEPT_SAMPLES samples of every series."""

    series: dict[tuple[str, Labels], deque[Sample]] = field(default_factory=dict)

    def append(self, name: str, labels: Mapping[str, str], sample: Sample) -> None:
        known = self.series.setdefault((name, frozenset(labels.items())), deque(maxlen=KEPT_SAMPLES))
        known.append(sample)

    def retire(self, name_and_labels: Iterable[tuple[str, Labels]], at_s: float) -> None:
        """Mark series as gone, as Prometheus does when a scrape fails or a series is no longer exposed."""
        for key in name_and_labels:
            self.series[key].append(Sample(at_s, None))

    def select(self, name: str, matchers: Mapping[str, str], at_s: float) -> list[Point]:
        """Every live series of that name whose labels match, sorted by labels."""
        wanted = frozenset(matchers.items())
        points = []
        for (known, labels), samples in self.series.items():
            if known != name or not wanted <= labels:
                continue
            last = next((sample for sample in reversed(samples) if sample.at_s <= at_s), None)
            if last is not None and last.value is not None and at_s - last.at_s <= LOOKBACK_SECONDS:
                points.append(Point(name, labels, last.value, last.at_s))
        return sorted(points, key=lambda point: sorted(point.labels))
