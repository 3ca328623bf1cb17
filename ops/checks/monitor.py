"""Can people see what it does: Prometheus scrapes it, Grafana shows it."""

from __future__ import annotations

from urllib.parse import urlsplit

from ops.checks.sight import Params, Sight
from ops.model.outcome import Finding
from ops.monitors.grafana import newest_sample_ms, panel_queries
from ops.monitors.prometheus import scalar, targets


def prom_target(sight: Sight, params: Params) -> Finding:
    """Prometheus has one target per host, and every one is up."""
    setting = sight.profile.monitoring.prometheus
    found = targets(setting.url, setting.job)
    wanted = {urlsplit(host.api).netloc for host in sight.profile.hosts.values() if host.api is not None}
    up = {row["instance"] for row in found if row["health"] == "up"}
    seen = f"{len(up & wanted)} of {len(wanted)} up" + "".join(f", {name} is not" for name in sorted(wanted - up))
    return sight.finding("prom_target", wanted <= up if wanted else None, seen, f"{len(wanted)} targets up")


def promql(sight: Sight, params: Params) -> Finding:
    """A comparison on one value; an absent series is not a pass."""
    value = scalar(sight.profile.monitoring.prometheus.url, params["expr"])
    bound = float(params["value"])
    seen = "no such series" if value is None else f"{value:.2f}"
    return sight.finding("promql", None if value is None else value <= bound, seen, f"{params['expr']} <= {bound:g}")


def dashboard(sight: Sight, params: Params) -> Finding:
    """Every panel of the Grafana dashboard carries data younger than the bound."""
    setting, oldest = sight.profile.monitoring.grafana, int(params["max_staleness_s"])
    token = sight.doors.secrets.token(setting.token)
    panels = panel_queries(setting.url, token, setting.dashboard)
    newest = newest_sample_ms(setting.url, token, panels)
    now_ms = int(sight.doors.clock().timestamp() * 1000)
    old = [title for title, at in newest.items() if at is None or now_ms - at > oldest * 1000]
    seen = f"{len(panels)} panels" + (f", without fresh data: {', '.join(old)}" if old else ", all fresh")
    return sight.finding("dashboard", bool(panels) and not old, seen, f"data younger than {oldest} s")
