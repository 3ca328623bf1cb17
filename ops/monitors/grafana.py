"""Grafana's HTTP API: a dashboard's panels, and how old the data is that they show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ops.errors import MonitorError
from ops.web import NoAnswer, ask


def panel_queries(url: str, token: str, dashboard: str) -> dict[str, str]:
    """The PromQL expression of each panel by title. Raises MonitorError if there is no such dashboard."""
    document = _asked("GET", f"{url}/api/dashboards/uid/{quote(dashboard)}", token)
    try:
        panels = document["dashboard"]["panels"]
        return {str(panel["title"]): str(panel["targets"][0]["expr"]) for panel in panels if panel.get("targets")}
    except (KeyError, TypeError, IndexError):
        raise MonitorError("Grafana answered a dashboard in an unknown shape") from None


def newest_sample_ms(url: str, token: str, expressions: Mapping[str, str]) -> dict[str, int | None]:
    """The time (Unix, ms) of the newest sample behind each panel; None for a panel without data."""
    refs = {f"Q{index}": title for index, title in enumerate(expressions)}
    queries = [{"refId": ref, "expr": expressions[title]} for ref, title in refs.items()]
    results = _asked("POST", f"{url}/api/ds/query", token, {"queries": queries, "from": "now-5m", "to": "now"})
    try:
        frames = {title: results["results"].get(ref, {}).get("frames", []) for ref, title in refs.items()}
        times = {title: [t for frame in found for t in _times(frame)] for title, found in frames.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MonitorError("Grafana answered a query in an unknown shape") from None
    return {title: max(found, default=None) for title, found in times.items()}


def _times(frame: Mapping[str, Any]) -> list[int]:
    """The times of the points that have a value: a series that has stopped keeps its time axis, with nulls on it."""
    return [at for at, value in zip(*frame["data"]["values"][:2], strict=True) if value is not None]


def _asked(method: str, url: str, token: str, body: Any = None) -> Any:
    try:
        status, document = ask(method, url, {"Authorization": f"Bearer {token}"}, body)
    except NoAnswer as error:
        raise MonitorError(f"Grafana did not answer: {error}") from None
    if status != 200:
        raise MonitorError(f"Grafana refused: HTTP {status}")
    return document
