"""The brake at Polymarket: least privilege, zero that is proven, and silence that is never zero."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ops.errors import VenueError
from ops.kill.brake import Brake, VenueSilent, open_brake
from ops.secrets import Credentials
from tests.contracts.polymarket.facts import POLYMARKET, TOKEN
from tests.contracts.rig import Rig
from tests.house.tree import ROOT

CALLS: dict[str, Callable[[Brake, str], Any]] = {
    "account": lambda brake, order: brake.account(),
    "cancel all": lambda brake, order: brake.cancel_all(),
    "open orders": lambda brake, order: brake.open_orders(True),
    "order": lambda brake, order: brake.order(order),
}


def opened(rig: Rig, kill: Credentials | None = None, observer: Credentials | None = None) -> Brake:
    """With the kill key alone, unless told otherwise."""
    given = kill or rig.keys().kill
    return open_brake("polymarket", rig.served.endpoints["paper"], POLYMARKET.numbers["paper"], given, observer)


def silent(act: Callable[[], Any]) -> VenueSilent:
    with pytest.raises(VenueSilent) as caught:
        act()
    return caught.value


@pytest.mark.parametrize("with_observer", [False, True], ids=["kill key alone", "with the observer's"])
def test_the_brake_sees_cancels_and_proves_zero(rig: Rig, with_observer: bool) -> None:
    brake = opened(rig, observer=rig.keys().observer if with_observer else None)
    bought, mine, foreign = rig.door().place(rig.wish(crossing=True)), rig.door().place(rig.wish()), rig.by_hand()
    for newest_first in (True, False):
        seen = {order.id: order for order in brake.open_orders(newest_first)}
        assert set(seen) == {mine.id, foreign}
    assert seen[mine.id].client_id == f"{rig.keys().bot.part('key')}:{mine.id}"
    assert str(seen[foreign]).endswith(f"{TOKEN} buy 10")
    assert brake.account() == POLYMARKET.numbers["paper"]
    assert set(brake.cancel_all()) == {mine.id, foreign}
    assert list(brake.open_orders(True)) == list(brake.open_orders(False)) == list(brake.cancel_all()) == []
    assert [brake.order(number).status for number in (mine.id, foreign, bought.id)] == [
        "canceled",
        "canceled",
        "matched",
    ]
    assert not brake.order(mine.id).open
    held = next(position.qty for position in rig.door().positions() if position.symbol == TOKEN)
    assert [line.split() for line in brake.positions()] == [[TOKEN, f"{held:.1f}"]]
    assert brake.halt_name == ""


def test_more_than_a_page_is_cancelled_and_seen_whole(rig: Rig) -> None:
    made = {rig.by_hand() for _ in range(POLYMARKET.page * 2 + 5)}
    brake = opened(rig)
    assert {order.id for order in brake.open_orders(True)} == made
    assert set(brake.cancel_all()) == made


def test_the_kill_key_cannot_open_orders_and_the_observers_cannot_cancel(rig: Rig) -> None:
    resting, wish = rig.door().place(rig.wish()), rig.wish()
    with pytest.raises(VenueError, match="cannot sign"):
        rig.only("kill").place(wish)
    assert rig.events(wish.client_id) == []
    assert silent(opened(rig, kill=rig.keys().observer).cancel_all).refused
    assert rig.door().order(resting.id).open


@pytest.mark.parametrize("fault", [*POLYMARKET.refused, "truncated_after", "gateway_timeout_after"])
def test_an_answer_that_proves_nothing_is_silence(rig: Rig, fault: str) -> None:
    order, brake = rig.by_hand(), opened(rig)
    rig.fault(fault)
    for name, act in CALLS.items():
        if fault in POLYMARKET.refused or name == "cancel all":
            assert silent(lambda act=act: act(brake, order)).refused == (fault == "revoked_keys"), name


def test_a_confirmed_cancel_of_an_order_that_stays_is_not_believed(rig: Rig) -> None:
    orders, brake = {rig.by_hand() for _ in range(4)}, opened(rig)
    rig.fault("half_cancel")
    assert set(brake.cancel_all()) == orders
    left = {order.id for order in brake.open_orders(True)}
    assert len(left) == 2
    assert {number for number in orders if brake.order(number).open} == left


def test_another_wallets_answers_are_silence(rig: Rig) -> None:
    order, brake = rig.by_hand(), opened(rig)
    rig.fault("wrong_account")
    for name in ("account", "open orders", "order"):
        assert not silent(lambda name=name: CALLS[name](brake, order)).refused


def test_credentials_that_are_none_are_silence_and_never_shown(rig: Rig) -> None:
    brake = opened(rig, kill=Credentials("broken", {"key": "k", "secret": "not base64!", "passphrase": "p-secret"}))
    told = str(silent(brake.cancel_all))
    assert "not base64" not in told.replace("is not base64", "")
    assert "p-secret" not in told


def test_the_brake_needs_the_standard_library_only() -> None:
    """-S: there are no installed packages to import."""
    done = subprocess.run([sys.executable, "-S", "-c", "import ops.kill.polymarket"], cwd=ROOT, check=False)
    assert done.returncode == 0
