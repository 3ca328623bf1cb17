"""How the services beside it talk to the API: loopback, a deadline, no proxy."""

from __future__ import annotations

import http.client
import json
from typing import Any

_TIMEOUT_SECONDS = 3.0


class ApiSilent(Exception):
    """The API did not answer, or not with a document."""


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """(status, document). Raises ApiSilent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ApiSilent(f"the API does not answer: {type(error).__name__}") from None
    finally:
        connection.close()
