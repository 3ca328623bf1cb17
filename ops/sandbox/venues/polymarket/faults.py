"""The venue's switchable faults and what each does. Data only: listing them needs no web framework."""

from __future__ import annotations

FAULTS: dict[str, str] = {
    "rate_limit": "429 on every request",
    "server_error": "500 with a JSON body; nothing is accepted",
    "html_error": "502 with an HTML body, as a load balancer answers; nothing is accepted",
    "empty_body": "200 with an empty body; nothing is accepted",
    "truncated_json": "every JSON answer is cut in half; a changing request is not carried out",
    "truncated_after": "a changing request is accepted, its JSON answer is cut in half",
    "hang_before": "no answer until the client gives up; nothing is accepted",
    "hang_after": "a changing request is accepted, then no answer until the client gives up",
    "gateway_timeout_after": "a changing request is accepted, then 504; a second post meets the first",
    "half_cancel": "every second cancel is confirmed, and the order stays live",
    "stuck_cancel": "every cancel is confirmed, and the order stays live",
    "hidden_pages": "the order list shows only its first third",
    "stale_orders": "the order list is shown as it was 5 seconds ago (parameter lag_seconds)",
    "wrong_account": "keys, orders, trades and positions are shown as another wallet's",
    "revoked_keys": "401 for every key",
    "maintenance": "503 for every request: trading is disabled, cancels too",
    "cancel_only": "503 for new orders; cancels are taken",
    "post_only": "503 for new orders that are not post-only, as in the two minutes after a restart",
    "engine_restart": "425 for everything about orders, as while the matching engine restarts",
    "closed_only": "the address may only close positions: buys are refused",
    "eoa_refused": "new orders of plain wallets are refused, as for new users since the deposit wallets came",
}
"""Name -> one line, switched per environment. Parameters: times (off after n hits), methods, path_prefix."""
