"""Switchable faults of the simulated monitoring. Data only."""

from __future__ import annotations

FAULTS: dict[str, str] = {
    "scrape_stopped": "Prometheus answers but scrapes nothing, so its samples grow old",
    "dashboard_missing": "Grafana has lost its dashboards: search is empty, a lookup answers 404",
}
