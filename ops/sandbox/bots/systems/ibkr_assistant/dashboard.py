"""The dashboard of seed 004: one page, `GET /health`, and the button that stops trading."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse

from ...surface import Answer, bare_app
from .neighbour import ApiSilent, ask

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>Assistant</title></head>
<body><h1>Assistant: {env}</h1>
<form method="post" action="/kill-switch"><button>Stop all trading</button></form>
<table>{rows}</table></body></html>
"""
_SHOWN = ("/api/v1/health", "/api/v1/portfolio")


def create_app(api_port: int, env: str) -> FastAPI:
    """`env` is the mode that this process was started in, as it stands."""
    app = bare_app("dashboard")

    @app.get("/health")
    def health() -> JSONResponse:
        facts: Answer = {"service": "dashboard", "env": env}
        try:
            status, _ = ask(api_port, "GET", "/api/v1/health")
        except ApiSilent as error:
            return JSONResponse({"status": "degraded", "api": str(error), **facts}, 503)
        return JSONResponse({"status": "ok", "api": status, **facts})

    @app.get("/", response_class=HTMLResponse)
    def page() -> str:
        rows = "".join(_row(name, value) for name, value in _facts(api_port).items())
        return _PAGE.format(env=escape(env.upper() or "PAPER"), rows=rows)

    @app.post("/kill-switch")
    def trip() -> JSONResponse:
        try:
            status, document = ask(api_port, "POST", "/api/v1/kill-switch/activate", {"activated_by": "dashboard"})
        except ApiSilent as error:
            return JSONResponse({"error": str(error), "remedy": "stop the service, set the gate file"}, 503)
        return JSONResponse(document, status)

    return app


def _facts(api_port: int) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for path in _SHOWN:
        try:
            facts.update(ask(api_port, "GET", path)[1])
        except ApiSilent as error:
            facts["error"] = str(error)
    return facts


def _row(name: str, value: Any) -> str:
    return f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
