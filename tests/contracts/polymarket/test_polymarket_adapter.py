"""What only Polymarket's adapter has: orders recognised by their hash, restarts of the engine, ways out that fail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ops.errors import VenueError
from ops.venues.polymarket.orders import Drafts, wallet_signer
from ops.venues.polymarket.rows import finite, restarts
from ops.venues.polymarket.wire import data_api
from ops.venues.protocol import Keys, PositionView
from tests.contracts.clauses import held, unknown
from tests.contracts.polymarket.facts import POLYMARKET, TOKEN
from tests.contracts.rig import Rig, credentials

HOUR = 1_795_190_400
"""A Unix time at a full hour."""


@pytest.mark.parametrize(
    ("client_id", "created_at", "price", "ours"),
    [
        ("op-7", HOUR + 3599, "0.2", True),
        ("op-7", HOUR + 3600, "0.20", True),  # taken in the next hour
        ("op-7", HOUR - 1, "0.2", False),
        ("op-7", HOUR + 7200, "0.2", False),
        ("op-8", HOUR + 3599, "0.2", False),
        ("op-7", HOUR + 3599, "0.21", False),
    ],
)
def test_an_order_is_recognised_by_its_client_id_alone(
    rig: Rig, client_id: str, created_at: int, price: str, ours: bool
) -> None:
    account, bot = POLYMARKET.numbers["paper"], rig.keys().bot
    assert bot is not None
    drafts = Drafts(account, wallet_signer(bot.part("wallet"), account))
    _, number = drafts.signed("op-7", TOKEN, "buy", (Decimal("7.5"), Decimal("0.2")), (HOUR + 3599, False))
    row = {"id": number, "asset_id": TOKEN, "side": "BUY", "original_size": "7.5", "price": price}
    assert drafts.is_of(client_id, {**row, "created_at": created_at}, False) is ours


@pytest.mark.parametrize("secret", ["no-base64-é", "short", ""])
def test_a_secret_that_is_none_is_an_error_of_ours_and_not_shown(rig: Rig, secret: str) -> None:
    key = credentials({**rig.issue("paper", "bot"), "secret": secret})
    door = rig.door(keys=Keys(key, key, key))
    for act in (door.open_orders, door.cancel_all, lambda: door.set_dead_man(60)):
        assert not secret or secret not in repr(unknown(act))


def test_a_long_client_id_is_found_again_too(rig: Rig) -> None:
    wish = rig.wish(client_id="close-" + "x" * 60)
    placed = rig.door().place(wish)
    assert rig.door().place(wish).id == placed.id


def test_an_order_is_also_known_by_its_owner_and_hash(rig: Rig) -> None:
    placed = rig.door().place(rig.wish())
    door = rig.door()
    (seen,) = door.open_orders()
    bot = rig.keys().bot
    assert bot is not None
    assert seen.client_id == f"{bot.part('key')}:{placed.id}"
    door.cancel(placed.id)
    found = door.order_by_client_id(seen.client_id)
    assert found is not None
    assert (found.id, found.open) == (placed.id, False)
    assert door.order_by_client_id("stranger:0x" + "0" * 64) is None


def test_the_same_wish_after_its_cancel_is_still_the_same_order(rig: Rig) -> None:
    wish = rig.wish()
    placed = rig.door().place(wish)
    rig.door().cancel(placed.id)
    again = rig.door().place(wish)  # of another process: only the venue remembers
    assert (again.id, again.open) == (placed.id, False)
    assert rig.events(wish.client_id).count("accepted") == 1


def test_a_refused_order_is_an_error_with_the_venues_reason(rig: Rig) -> None:
    for fault, said in (
        ("eoa_refused", "deposit wallet"),
        ("closed_only", "closed only"),
        ("cancel_only", "cancel-only"),
    ):
        rig.fault(fault)
        assert said in str(unknown(lambda: rig.door().place(rig.wish())))
        rig.fault(fault, on=False)


def test_a_position_that_cannot_be_sold_is_an_error_and_nothing_rests(rig: Rig) -> None:
    door = rig.door()
    for position in (PositionView("1002", Decimal(0), Decimal(0)), PositionView("1002", Decimal(5), Decimal(3))):
        client_id = rig.client_id()
        with pytest.raises(VenueError):
            door.close_position(position, client_id)
        assert "accepted" not in rig.events(client_id)
    assert list(door.open_orders()) == []


def test_more_than_the_book_takes_is_sold_in_part_and_the_rest_is_killed(rig: Rig) -> None:
    for _ in range(3):
        rig.by_hand(price=POLYMARKET.crossing, qty=Decimal(2500))
        rig.later(1)
    door, client_id = rig.door(), rig.client_id()
    before = held(door, TOKEN)
    door.close_position(before, client_id)
    assert before.qty - held(door, TOKEN).qty == 5000
    assert rig.events(client_id) == ["accepted", "partial_fill", "canceled"]
    assert list(door.open_orders()) == []


def test_another_wallets_key_signs_nothing(rig: Rig) -> None:
    parts = {**rig.issue("paper", "bot"), "wallet": "0x" + "11" * 32}
    stranger = rig.door(keys=Keys(bot=credentials(parts)))
    wish = rig.wish()
    told = str(unknown(lambda: stranger.place(wish)))
    assert "not to account" in told
    assert "11" * 32 not in told
    assert rig.events(wish.client_id) == []


def test_the_weekly_restarts_are_danger_windows(rig: Rig) -> None:
    begins = datetime(2026, 11, 20, tzinfo=UTC)
    seen = [window.begins for window in restarts(begins, begins + timedelta(days=7))]
    assert seen == [datetime(2026, 11, 24, 1, tzinfo=UTC), datetime(2026, 11, 24, 12, tzinfo=UTC)]
    during = datetime(2026, 11, 24, 12, 3, tzinfo=UTC)
    assert [window.kind for window in rig.door().windows(during, during + timedelta(hours=1))] == ["session", "restart"]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "", None, {}, "0x10"])
def test_what_is_no_number_is_not_money(text: object) -> None:
    with pytest.raises(VenueError):
        finite(text)


def test_the_data_api_has_its_own_host_at_the_venue_and_none_elsewhere() -> None:
    assert data_api("https://clob.polymarket.com") == "https://data-api.polymarket.com"
    assert data_api("http://127.0.0.1:8080") == "http://127.0.0.1:8080"
