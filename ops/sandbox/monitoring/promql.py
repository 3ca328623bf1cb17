"""The few forms of PromQL that Interlock asks, and not one more: whatever else arrives is refused.

metric            metric{a="b"}           max(...) min(...) sum(...)           time() - max(timestamp(...))
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ops.sandbox.monitoring.samples import Labels, Point, SampleStore

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*\s*=\s*"[^"\\]*"'
_SELECTOR = rf"(?P<name>{_NAME})\s*(?:\{{\s*(?P<matchers>{_LABEL}(?:\s*,\s*{_LABEL})*)?\s*,?\s*\}})?"
_FORMS = {
    "select": re.compile(rf"\s*{_SELECTOR}\s*"),
    "reduce": re.compile(rf"\s*(?P<reducer>max|min|sum)\s*\(\s*{_SELECTOR}\s*\)\s*"),
    "age": re.compile(rf"\s*time\(\)\s*-\s*(?P<reducer>max|min)\s*\(\s*timestamp\s*\(\s*{_SELECTOR}\s*\)\s*\)\s*"),
}
_MATCHER = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"([^"\\]*)"')
_REDUCERS: dict[str, Callable[[list[float]], float]] = {"max": max, "min": min, "sum": sum}


class BadQuery(ValueError):
    """A query outside the subset."""


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query; `form` is select, reduce or age."""

    form: str
    name: str
    matchers: dict[str, str]
    reducer: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One element of an instant vector; `name` is empty once an operation has dropped it."""

    name: str
    labels: Labels
    value: float


def parse(text: str) -> Query:
    """Raises BadQuery naming the subset."""
    for form, pattern in _FORMS.items():
        if found := pattern.fullmatch(text):
            parts = found.groupdict()
            return Query(
                form,
                parts["name"],
                dict(_MATCHER.findall(parts["matchers"] or "")),
                parts.get("reducer") or "",
            )
    raise BadQuery(
        'parse error: the sandbox knows metric, metric{a="b"}, max/min/sum(metric), time() - max(timestamp(metric))'
    )


def evaluate(query: Query, samples: SampleStore, at_s: float) -> list[Row]:
    """The instant vector at Unix time `at_s`; no matching series gives an empty one, never zero."""
    points = samples.select(query.name, query.matchers, at_s)
    if query.form == "select":
        return [Row(point.name, point.labels, point.value) for point in points]
    if not points:
        return []
    reduced = _REDUCERS[query.reducer](_values(query, points))
    return [Row("", frozenset(), at_s - reduced if query.form == "age" else reduced)]


def _values(query: Query, points: list[Point]) -> list[float]:
    return [point.sampled_at_s if query.form == "age" else point.value for point in points]
