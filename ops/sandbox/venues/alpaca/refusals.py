"""What the venue says when it refuses: an HTTP status and Alpaca's {"code", "message"} body."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A request the venue turns down. `code` is HTTP status plus four digits, as in Alpaca's error table."""

    def __init__(self, status: int, code: int | None, message: str, **details: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        head: dict[str, Any] = {} if self.code is None else {"code": self.code}
        return {**head, "message": self.message, **self.details}


def malformed(message: str) -> Refusal:
    return Refusal(400, 40010000, message)


def invalid(message: str) -> Refusal:
    """Alpaca answers an invalid parameter with code 40010001 under HTTP 422."""
    return Refusal(422, 40010001, message)


def unprocessable(message: str) -> Refusal:
    return Refusal(422, 42210000, message)


def forbidden(message: str, **details: str) -> Refusal:
    return Refusal(403, 40310000, message, **details)


def missing(message: str) -> Refusal:
    return Refusal(404, 40410000, message)


def unauthorized() -> Refusal:
    """Bad keys carry no "code", which is why alpaca-py's APIError.code raises KeyError on them."""
    return Refusal(401, None, "unauthorized.")
