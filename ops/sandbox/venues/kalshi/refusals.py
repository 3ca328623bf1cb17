"""What the venue says when it refuses: an HTTP status and one of Kalshi's three error bodies (venues.md 4.5)."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A request the venue turns down, with the whole body of its answer."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body

    @property
    def reason(self) -> str:
        """For the order log: the venue's own words."""
        error = self.body.get("error", self.body)
        return " ".join(str(error[key]) for key in ("code", "details", "msg") if key in error)


def nested(status: int, code: str, details: str = "", service: str = "") -> Refusal:
    """`{"error": {code, message, details?, service?}}`: authentication, exchange, most orders."""
    told = {"details": details, "service": service}
    error = {"code": code, "message": code.replace("_", " "), **{key: text for key, text in told.items() if text}}
    return Refusal(status, {"error": error})


def flat(status: int, code: str, details: str) -> Refusal:
    """`{code, message, details, service}`: a body that does not decode."""
    return Refusal(status, {"code": code, "message": "bad request", "details": details, "service": "exchange"})


def bare(what: str, name: str, rule: str) -> Refusal:
    """`{"msg"}`: a parameter that does not validate."""
    field = f"{what}Params.{name}"
    text = f"Key: '{field}' Error:Field validation for '{name}' failed on the '{rule}' tag"
    return Refusal(400, {"msg": f"Parameter validation failed for {what}: {text}"})


def unauthorized(details: str) -> Refusal:
    """`NOT_FOUND` (no such key here) or `INCORRECT_API_KEY_SIGNATURE`."""
    return Refusal(
        401, {"error": {"code": "authentication_error", "message": "authentication_error", "details": details}}
    )


def missing(code: str = "not_found") -> Refusal:
    return nested(404, code, service="exchange")


def order_refused(status: int, code: str, details: str = "") -> Refusal:
    return nested(status, code, details, "exchange")
