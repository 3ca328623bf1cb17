"""Alerts: a message that left is not a message that arrived, and only a person's answer to that very message counts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from ops.alerts.channel import AlertChannel, open_channel
from ops.errors import AlertError
from ops.model.profile import Channel
from ops.sandbox.channels.faults import FAULTS
from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import embedded_world, free_ports_config
from ops.sandbox.world.world import World
from tests.peers import answering

TOKENS = {"slack": "slack-token", "telegram": "1:tg"}
TO = {"slack": "ops", "telegram": "42"}
Open = Callable[..., AlertChannel]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with embedded_world(free_ports_config(tmp_path_factory.mktemp("world")), random.Random(1), WorldClock()) as running:
        yield running


@pytest.fixture
def channel(world: World) -> Iterator[Open]:
    """Opens the channel of a kind; every fault is off again afterwards."""

    def opened(kind: str, token: str = "", to: str = "", url: str = "") -> AlertChannel:
        setting = Channel(
            kind=kind, url=url or f"http://127.0.0.1:{world.ports[kind]}", token="named-elsewhere", to=to or TO[kind]
        )
        return open_channel(setting, token or TOKENS[kind])

    yield opened
    for name in FAULTS:
        switch(world, name, False)


def switch(world: World, name: str, on: bool = True) -> None:
    url, body = f"http://127.0.0.1:{world.ports['admin']}/admin/faults", {"fault": name, "on": on}
    requests.post(url, json=body, headers={"X-Sandbox-Token": "admin-token"}, timeout=5).raise_for_status()


def arrived(world: World) -> list[str]:
    return [json.loads(line)["text"] for line in (Path(world.config.state) / "messages.jsonl").read_text().splitlines()]


kinds = pytest.mark.parametrize("kind", ["slack", "telegram"])


@kinds
def test_a_message_arrives_and_a_persons_answer_to_it_is_seen(world, channel, kind) -> None:
    door = channel(kind)
    receipt = door.send(f"halt on {kind}, “quoted” & <b>plain</b>")
    assert arrived(world)[-1] == f"halt on {kind}, “quoted” & <b>plain</b>"
    assert door.acknowledged(receipt) is True


@kinds
def test_a_message_that_nobody_answers_is_not_acknowledged(world, channel, kind) -> None:
    switch(world, f"{kind}_silent")
    door = channel(kind)
    receipt = door.send(f"anyone on {kind}?")
    assert arrived(world)[-1] == f"anyone on {kind}?"
    assert door.acknowledged(receipt) is False


@kinds
def test_each_message_has_a_receipt_of_its_own(channel, kind) -> None:
    door = channel(kind)
    assert len({door.send("one"), door.send("one"), door.send("two")}) == 3


@kinds
def test_a_channel_that_is_down_is_an_error_and_neither_yes_nor_no(world, channel, kind) -> None:
    door = channel(kind)
    receipt = door.send("before")
    switch(world, f"{kind}_down")
    for call in (lambda: door.send("lost"), lambda: door.acknowledged(receipt)):
        with pytest.raises(AlertError, match="did not answer"):
            call()
    assert "lost" not in arrived(world)


@kinds
def test_a_service_that_is_not_there_is_an_error(channel, kind) -> None:
    with pytest.raises(AlertError, match="did not answer"):
        channel(kind, url="http://127.0.0.1:9").send("hello")


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("slack", {"token": "xoxb-wrong"}, "invalid_auth"),
        ("slack", {"to": "elsewhere"}, "channel_not_found"),
        ("telegram", {"token": "9:wrong"}, "Unauthorized"),
        ("telegram", {"to": "7"}, "chat not found"),
    ],
    ids=["slack token", "slack channel", "telegram token", "telegram chat"],
)
def test_a_refusal_is_told_with_its_reason_and_without_the_token(channel, kind, options, says) -> None:
    with pytest.raises(AlertError) as caught:
        channel(kind, **options).send("hello")
    assert says in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_the_senders_own_reaction_is_no_acknowledgement(channel) -> None:
    reactions = [{"name": "eyes", "users": ["UBOT"], "count": 1}]
    message = {"user": "UBOT", "text": "halt", "ts": "1.000001"}
    for more, seen in (([], False), ([{"name": "ok", "users": ["UBOT", "UANA"], "count": 2}], True)):
        document = {"ok": True, "message": {**message, "reactions": [*reactions, *more]}}
        with answering({"GET /api/reactions.get": (200, json.dumps(document).encode())}) as url:
            assert channel("slack", url=url).acknowledged("C1|1.000001") is seen


def test_a_reply_in_another_chat_is_no_acknowledgement(channel) -> None:
    """Telegram counts messages in each chat anew: the same number elsewhere is another message."""
    sent = {"ok": True, "result": {"message_id": 5, "chat": {"id": -100}}}
    for chat, seen in ((-200, False), (-100, True)):
        reply = {"chat": {"id": chat}, "reply_to_message": {"message_id": 5, "chat": {"id": chat}}}
        updates = {"ok": True, "result": [{"update_id": 1, "message": reply}, {"update_id": 2, "edited_message": {}}]}
        answers = {"POST /bot1:tg/sendMessage": sent, "GET /bot1:tg/getUpdates": updates}
        with answering({path: (200, json.dumps(body).encode()) for path, body in answers.items()}) as url:
            door = channel("telegram", url=url, to="@our-channel")
            assert door.acknowledged(door.send("halt")) is seen


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"null", b"<html>", b'{"ok": ', b"{}", b'{"ok": true}', b'{"ok": true, "result": 7, "message": 7}'],
    ids=["nothing", "a list", "null", "html", "cut off", "no ok", "only ok", "other shapes"],
)
@kinds
def test_an_answer_of_another_shape_is_an_error(channel, kind, answer) -> None:
    paths = (
        "POST /api/chat.postMessage",
        "GET /api/reactions.get",
        "POST /bot1:tg/sendMessage",
        "GET /bot1:tg/getUpdates",
    )
    with answering({path: (200, answer) for path in paths}) as url:
        door = channel(kind, url=url)
        for call in (lambda: door.send("hello"), lambda: door.acknowledged("1|2")):
            with pytest.raises(AlertError):
                call()
