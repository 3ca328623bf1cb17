"""The venue's switchable faults and what each does. Data only: listing them needs no web framework."""

from __future__ import annotations

FAULTS: dict[str, str] = {
    "rate_limit": "EAPI:Rate limit exceeded on every request, under HTTP 200 as always here",
    "server_error": "EGeneral:Internal error; nothing is accepted",
    "html_error": "520 with an HTML body, as the load balancer answers; nothing is accepted",
    "empty_body": "200 with an empty body; nothing is accepted",
    "truncated_json": "the request is carried out, its JSON answer is cut in half",
    "hang_before": "no answer until the client gives up; nothing is accepted",
    "hang_after": "a changing request is accepted, then no answer until the client gives up",
    "gateway_timeout_after": "a changing request is accepted, then 504 with an HTML body",
    "unavailable_after": "a changing request is accepted, then EService:Unavailable",
    "half_cancel": "every second cancel is pending for ever, the order stays open",
    "stuck_cancel": "every cancel is pending for ever, the order stays open",
    "hidden_pages": "each list of orders or trades shows only its first third",
    "stale_orders": "the list of open orders is shown as it was 5 seconds ago (parameter lag_seconds)",
    "wrong_account": "the key belongs to another account: GetApiKeyInfo answers another iban",
    "revoked_keys": "EAPI:Invalid key for every key",
    "invalid_nonce": "EAPI:Invalid nonce for every private request",
    "lockout": "EGeneral:Temporary lockout for every private request",
    "maintenance": "SystemStatus says maintenance; everything else is EService:Unavailable",
    "cancel_only": "SystemStatus says cancel_only; new orders are refused, cancels are not",
    "post_only": "SystemStatus says post_only; new orders that are not post-only are refused",
}
"""Name -> one line, switched per environment. Parameters: times (off after n hits), methods, path_prefix."""
