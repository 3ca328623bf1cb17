"""The venue's switchable faults and what each does. Data only: listing them needs nothing else."""

from __future__ import annotations

FAULTS: dict[str, str] = {
    "rate_limit": "error 100 (too many messages) in the place of every answer",
    "server_error": "error 320 in the place of every answer; nothing is accepted",
    "html_error": "a web server stands on the port: every new connection gets an HTML page, and so do the present ones",
    "empty_body": "a frame without content in the place of every answer; nothing is accepted",
    "truncated_json": "the request is carried out, the last frame before the end of its answer is cut in half",
    "hang_before": "no answer on this connection any more; nothing is accepted",
    "hang_after": "a changing request is accepted, then no answer on this connection any more",
    "gateway_timeout_after": "a changing request is accepted, then the connection is dropped without an answer",
    "half_cancel": "every second cancel stays PendingCancel for ever",
    "stuck_cancel": "every cancel stays PendingCancel for ever",
    "hidden_pages": "the list of open orders shows only its first third",
    "stale_orders": "the list of open orders is shown as it was 5 seconds ago (parameter lag_seconds)",
    "wrong_account": "the gateway manages another account",
    "maintenance": "the nightly restart: connections are dropped, new ones are closed at once",
    "cancel_only": "error 201 for every new order; cancels go through",
    "read_only": "the gateway's Read-Only API setting: error 321 for new orders and for cancels",
    "logged_out": "the gateway waits for its login: the port accepts, nothing is ever answered",
    "lost_link": "error 1100: the gateway has lost IBKR and answers from its memory; 1102 when it is over",
    "silent_positions": "requests for positions are never answered, everything else is",
    "ids_in_use": "error 326 for every new connection, whatever its client id (parameter times)",
    "todays_fills_only": "executions of the current day only, as a Gateway shows them",
}
"""Name -> one line, switched per environment. Parameters: times (off after n hits), methods (GET for reads, POST for
orders, DELETE for cancels), path_prefix (`/placeOrder`, `/reqPositions` ... as the client libraries name them)."""
