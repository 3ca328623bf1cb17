"""From a probe type of the checklists to the function that answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ops.checks import control, data, fleet, host, human, monitor, recorded, trade, venue
from ops.checks.sight import Params, Sight
from ops.errors import DoorError, InputError
from ops.model.outcome import Finding, Outcome

Check = Callable[[Sight, Params], Finding]

CHECKS: Mapping[str, Check] = {
    "mode_consistency": control.mode_consistency,
    "killswitch.state": control.switch,
    "config_value": control.size_multiplier,
    "env_file": host.env_file,
    "env_var": host.env_var,
    "disk_free": host.disk_free,
    "code_scan": host.code_scan,
    "paper_trades": trade.paper_trades,
    "limits": control.limits,
    "release_equality": host.release_equality,
    "host_health": host.host_health,
    "fleet_equality": fleet.fleet_equality,
    "host_identity": fleet.host_identity,
    "venue.auth": venue.auth,
    "venue.key_class": venue.key_class,
    "venue.funded": venue.funded,
    "venue.open_orders": venue.open_orders,
    "venue.portfolio": venue.portfolio,
    "venue.account": venue.account,
    "venue.session_mode": venue.session_mode,
    "venue.key_permissions": venue.key_permissions,
    "venue.status": venue.status,
    "venue.calendar": venue.calendar,
    "venue.conditions": venue.conditions,
    "soak": trade.soak,
    "reconcile": trade.reconcile,
    "trade_stats": trade.trade_stats,
    "prom_target": monitor.prom_target,
    "promql": monitor.promql,
    "dashboard": monitor.dashboard,
    "audit_store": data.audit_store,
    "document": human.document,
    "contacts": human.contacts,
    "attestation": human.attestation,
    "by_hand": human.by_hand,
    "review": human.review,
    "drill": recorded.drill,
    "alert_roundtrip": recorded.alert_roundtrip,
    "act.key_rotate": recorded.key_rotated,
    "action": recorded.action,
}


def ask(probe: str, sight: Sight, params: Params) -> Finding:
    """The finding of one probe. What the outside did not answer is unknown; what is set up wrongly is a fail."""
    try:
        return CHECKS[probe](sight, params)
    except DoorError as error:
        return Finding(probe, Outcome.UNKNOWN, str(error), sight.at)
    except InputError as error:
        return Finding(probe, Outcome.FAIL, error.text(), sight.at, remedy=error.remedy)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # A document from outside in an unexpected shape proves nothing; the shape's name is enough to find it.
        return Finding(probe, Outcome.UNKNOWN, f"an answer had an unexpected shape ({type(error).__name__})", sight.at)
