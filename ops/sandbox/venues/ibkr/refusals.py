"""What the gateway says no with: its error code and text (venues.md 6.13)."""

from __future__ import annotations


class Refusal(Exception):
    """Error `code`; nothing was changed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def invalid(cause: str) -> Refusal:
    return Refusal(321, f"Error validating request.-'bN' : cause - {cause}")


def read_only() -> Refusal:
    return invalid("The API interface is currently in Read-Only mode.")


def rejected(reason: str) -> Refusal:
    return Refusal(201, f"Order rejected - reason:{reason}")


def no_contract() -> Refusal:
    return Refusal(200, "No security definition has been found for the request")


def duplicate_id() -> Refusal:
    return Refusal(103, "Duplicate order id")


def bad_price() -> Refusal:
    return Refusal(110, "The price does not conform to the minimum price variation for this contract.")


def unknown_order(order_id: int) -> Refusal:
    return Refusal(10147, f"OrderId {order_id} that needs to be cancelled is not found.")


def not_cancelable(order_id: int, state: str) -> Refusal:
    return Refusal(10148, f"OrderId {order_id} that needs to be cancelled can not be cancelled, state: {state}.")
