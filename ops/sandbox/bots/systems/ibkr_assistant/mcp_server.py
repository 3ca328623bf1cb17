"""The MCP server of seed 004: JSON-RPC over `POST /mcp`, and `GET /health`. It reads and stops; it never orders.

A language model may look at health, portfolio and waiting approvals and may stop trading. There is no tool that places
an order or approves one: no live order without a person's consent, or a policy that a person has signed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from ...surface import Answer, bare_app
from .neighbour import ApiSilent, ask

PROTOCOL = "2025-06-18"
_TEXT = {"type": "object", "properties": {"reason": {"type": "string"}}}
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
TOOLS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "health": ("How the assistant stands.", _NOTHING, "GET", "/api/v1/health"),
    "portfolio": ("What the account holds.", _NOTHING, "GET", "/api/v1/portfolio"),
    "pending_approvals": ("Orders that wait for a person.", _NOTHING, "GET", "/api/v1/approvals/pending"),
    "stop_trading": ("Stops all trading at once.", _TEXT, "POST", "/api/v1/kill-switch/activate"),
}


def create_app(api_port: int, env: str) -> FastAPI:
    """`env` is the mode that this process was started in, as it stands."""
    app = bare_app("mcp_server")

    @app.get("/health")
    def health() -> Answer:
        return {"status": "ok", "service": "mcp_server", "env": env}

    @app.post("/mcp")
    def rpc(message: dict[str, Any]) -> JSONResponse:
        return JSONResponse(_answer(message, api_port))

    return app


def _answer(message: dict[str, Any], api_port: int) -> Answer:
    methods: dict[str, Callable[[dict[str, Any]], Answer]] = {
        "initialize": lambda _: {
            "protocolVersion": PROTOCOL,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "ibkr-assistant", "version": "1"},
        },
        "ping": lambda _: {},
        "tools/list": lambda _: {
            "tools": [{"name": n, "description": d, "inputSchema": s} for n, (d, s, _m, _p) in TOOLS.items()]
        },
        "tools/call": lambda given: _call(given, api_port),
    }
    frame: Answer = {"jsonrpc": "2.0", "id": message.get("id")}
    method, given = methods.get(str(message.get("method"))), message.get("params")
    if method is None:
        return {**frame, "error": {"code": -32601, "message": "method not found"}}
    return {**frame, "result": method(given if isinstance(given, dict) else {})}


def _call(given: dict[str, Any], api_port: int) -> Answer:
    tool = TOOLS.get(str(given.get("name")))
    if tool is None:
        return _said("there is no such tool", is_error=True)
    _, _, method, path = tool
    words = given.get("arguments")
    reason = str((words if isinstance(words, dict) else {}).get("reason", ""))
    try:
        body = {"reason": reason, "activated_by": "mcp_server"} if method == "POST" else None
        status, document = ask(api_port, method, path, body)
    except ApiSilent as error:
        return _said(str(error), is_error=True)
    return _said(json.dumps(document), is_error=status != 200)


def _said(text: str, is_error: bool) -> Answer:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}
