"""Slack and Telegram: their shapes, the on-call person, and the four faults."""

from __future__ import annotations

import json

import pytest
import requests

from ops.sandbox.channels.mailbox import Mailbox
from ops.sandbox.clock import WorldClock

BEARER = {"Authorization": "Bearer slack-token"}


def sent_number(outside) -> int:
    return len((outside.world.config.state / "messages.jsonl").read_text().splitlines())


def slack(outside, method: str, headers=BEARER, **arguments) -> requests.Response:
    return requests.post(outside.url("slack", f"/api/{method}"), json=arguments, headers=headers, timeout=5)


def telegram(outside, method: str, token: str = "1:tg", **arguments) -> requests.Response:
    return requests.post(outside.url("telegram", f"/bot{token}/{method}"), json=arguments, timeout=5)


def test_slack_message_is_kept_and_acknowledged(outside) -> None:
    sent = slack(outside, "chat.postMessage", channel="#ops", text="halt?").json()
    assert (sent["ok"], sent["ts"], sent["message"]["text"]) == (
        True,
        f"{int(outside.wall.time.timestamp())}.000000",
        "halt?",
    )
    wanted = {"channel": sent["channel"], "timestamp": sent["ts"]}
    got = requests.get(outside.url("slack", "/api/reactions.get"), params=wanted, headers=BEARER, timeout=5).json()
    assert got["message"]["reactions"] == [{"name": "white_check_mark", "users": ["U0ONCALL001"], "count": 1}]
    line = (outside.world.config.state / "messages.jsonl").read_text().splitlines()[-1]
    assert {**json.loads(line), "time": ""} == {
        "time": "",
        "channel": "slack",
        "number": sent_number(outside),
        "to": "#ops",
        "text": "halt?",
        "ts": sent["ts"],
    }


def test_slack_takes_a_form_and_tells_messages_apart(outside) -> None:
    url = outside.url("slack", "/api/chat.postMessage")
    form = {"channel": "ops", "text": "one", "token": "slack-token"}
    stamps = {requests.post(url, data=form, timeout=5).json()["ts"] for _ in range(3)}
    assert len(stamps) == 3


@pytest.mark.parametrize(
    ("method", "headers", "arguments", "error"),
    [
        ("chat.postMessage", {}, {"channel": "#ops", "text": "x"}, "not_authed"),
        (
            "chat.postMessage",
            {"Authorization": "Bearer no"},
            {"channel": "#ops", "text": "x"},
            "invalid_auth",
        ),
        ("chat.postMessage", BEARER, {"channel": "#other", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", BEARER, {"channel": "#ops"}, "no_text"),
        ("reactions.get", BEARER, {"channel": "#ops", "timestamp": "1.0"}, "message_not_found"),
        ("reactions.get", BEARER, {"channel": "#other", "timestamp": "1.0"}, "channel_not_found"),
    ],
)
def test_slack_errors_are_200_with_ok_false(outside, method, headers, arguments, error) -> None:
    answer = slack(outside, method, headers, **arguments)
    assert (answer.status_code, answer.json()) == (200, {"ok": False, "error": error})


def test_slack_faults(outside) -> None:
    outside.admin("faults", {"fault": "slack_silent", "on": True})
    sent = slack(outside, "chat.postMessage", channel="#ops", text="anyone?").json()
    assert sent["ok"] is True
    got = slack(outside, "reactions.get", channel="#ops", timestamp=sent["ts"]).json()
    assert "reactions" not in got["message"]
    outside.admin("faults", {"fault": "slack_down", "on": True})
    assert slack(outside, "auth.test").status_code == 503


def test_telegram_message_gets_a_reply(outside) -> None:
    sent = telegram(outside, "sendMessage", chat_id=42, text="halt?").json()["result"]
    telegram(outside, "sendMessage", chat_id="42", text="again")
    outside.wall.later(1)
    first, second = telegram(outside, "getUpdates").json()["result"]
    assert first["message"]["reply_to_message"]["message_id"] == sent["message_id"]
    assert (first["message"]["text"], first["message"]["from"]["is_bot"]) == ("ack", False)
    after = telegram(outside, "getUpdates", offset=first["update_id"] + 1).json()["result"]
    assert after == [second]
    assert telegram(outside, "getUpdates").json()["result"] == [second]


@pytest.mark.parametrize(
    ("method", "token", "arguments", "status", "description"),
    [
        ("sendMessage", "wrong", {"chat_id": 42, "text": "x"}, 401, "Unauthorized"),
        ("sendMessage", "1:tg", {"chat_id": 7, "text": "x"}, 400, "Bad Request: chat not found"),
        ("sendMessage", "1:tg", {"chat_id": 42}, 400, "Bad Request: message text is empty"),
        ("sendSticker", "1:tg", {}, 404, "Not Found"),
    ],
)
def test_telegram_errors(outside, method, token, arguments, status, description) -> None:
    answer = telegram(outside, method, token, **arguments)
    assert (answer.status_code, answer.json()) == (
        status,
        {"ok": False, "error_code": status, "description": description},
    )


def test_telegram_faults(outside) -> None:
    outside.admin("faults", {"fault": "telegram_silent", "on": True})
    assert telegram(outside, "sendMessage", chat_id=42, text="anyone?").json()["ok"] is True
    assert telegram(outside, "getUpdates").json()["result"] == []
    outside.admin("faults", {"fault": "telegram_down", "on": True})
    assert telegram(outside, "getMe").status_code == 502


def test_nobody_acknowledges_before_the_time(outside) -> None:
    box = Mailbox(outside.world.config.state / "other.jsonl", WorldClock(outside.wall))
    message = box.receive("slack", "#ops", "hello")
    assert box.noticed(message, 1) is False
    outside.wall.later(1)
    assert box.noticed(message, 1) is True
    box.close()
