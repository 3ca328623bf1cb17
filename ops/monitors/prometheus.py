"""Prometheus' HTTP API, version 1."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ops.errors import MonitorError
from ops.web import NoAnswer, ask


def _data(url: str) -> Any:
    try:
        status, document = ask("GET", url)
    except NoAnswer as error:
        raise MonitorError(f"Prometheus did not answer: {error}") from None
    if status != 200 or not isinstance(document, dict) or document.get("status") != "success":
        raise MonitorError(f"Prometheus refused: HTTP {status}")
    return document.get("data")


def targets(url: str, job: str) -> list[dict[str, str]]:
    """Each scrape target of the job: `instance`, `health` (up | down | unknown), `last_scrape`, `last_error`."""
    try:
        return [
            {
                "instance": str(row["labels"]["instance"]),
                "health": str(row["health"]),
                "last_scrape": str(row["lastScrape"]),
                "last_error": str(row.get("lastError", "")),
            }
            for row in _data(f"{url}/api/v1/targets")["activeTargets"]
            if row["labels"].get("job") == job
        ]
    except (KeyError, TypeError):
        raise MonitorError("Prometheus answered targets in an unknown shape") from None


def scalar(url: str, expression: str) -> float | None:
    """The one value of an expression; None if the series is absent, which proves nothing."""
    data = _data(f"{url}/api/v1/query?query={quote(expression)}")
    try:
        if data["resultType"] == "scalar":
            return float(data["result"][1])
        rows = data["result"]
        return float(rows[0]["value"][1]) if len(rows) == 1 else None
    except (KeyError, TypeError, ValueError, IndexError):
        raise MonitorError("Prometheus answered a query in an unknown shape") from None
