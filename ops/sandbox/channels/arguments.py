"""How both channels take their arguments: a JSON object, a form, or a query string."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request


async def arguments_of(request: Request) -> dict[str, Any]:
    """The arguments of one call; a body that is no JSON object counts as having none."""
    raw = (await request.body()).decode("utf-8", "replace")
    if "json" not in request.headers.get("content-type", ""):
        return {**dict(request.query_params), **dict(parse_qsl(raw))}
    try:
        parsed = json.loads(raw)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
