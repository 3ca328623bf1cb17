"""Switchable faults of the simulated alert channels. Data only."""

from __future__ import annotations

FAULTS: dict[str, str] = {
    "slack_silent": "messages arrive on Slack, but the on-call person never reacts",
    "slack_down": "Slack answers 503 to everything",
    "telegram_silent": "messages arrive on Telegram, but the on-call person never replies",
    "telegram_down": "Telegram answers 502 to everything",
}
