"""The venue's switchable faults and what each does. Data only: listing them needs no web framework."""

from __future__ import annotations

FAULTS: dict[str, str] = {
    "rate_limit": "429 without Retry-After on every request",
    "server_error": "500 with a JSON body; nothing is accepted",
    "html_error": "502 with an HTML body, as a load balancer answers; nothing is accepted",
    "empty_body": "200 with an empty body; nothing is accepted",
    "truncated_json": "the request is carried out, its JSON answer is cut in half",
    "hang_before": "no answer until the client gives up; nothing is accepted",
    "hang_after": "a changing request is accepted, then no answer until the client gives up",
    "gateway_timeout_after": "a changing request is accepted, then 504; a second post meets the first",
    "half_cancel": "every second cancel is acknowledged and leaves the order resting for ever",
    "stuck_cancel": "every cancel is acknowledged and leaves the order resting for ever",
    "hidden_pages": "the order list shows only its first third, with the cursor of a last page",
    "stale_orders": "the order list is shown as it was 5 seconds ago (parameter lag_seconds)",
    "wrong_account": "the account answers with another communications id",
    "revoked_keys": "401 NOT_FOUND for every key",
    "maintenance": "503 for every request; the exchange's status says that it is not active",
    "cancel_only": "a trading pause: no new orders, cancels go through",
    "exchange_pause": "an exchange pause: no new orders and no cancels either",
    "no_bulk_cancel": "404 for the account-wide cancel, as it was seen on the demo exchange",
    "stuck_latch": "triggering an order group is acknowledged and does nothing",
}
"""Name -> one line, switched per environment. Parameters: times (off after n hits), methods, path_prefix."""
