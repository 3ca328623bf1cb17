"""The contract's clauses for Kalshi, and what only its adapter must keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ops.errors import VenueError
from ops.venues.kalshi import adapter as kalshi
from ops.venues.protocol import Keys, KeyView, VenueActor
from tests.contracts.clauses import VenueContract, held
from tests.contracts.kalshi.facts import TICKER
from tests.contracts.rig import NOON, Rig, credentials
from tests.peers import answering

Act = Callable[[VenueActor], Any]
ODD: dict[str, tuple[str, bytes, Act]] = {
    "no list": ("/portfolio/orders", b"{}", lambda door: door.open_orders()),
    "a null list": ("/portfolio/orders", b'{"orders":null,"cursor":""}', lambda door: door.open_orders()),
    "no cursor": ("/portfolio/orders", b'{"orders":[]}', lambda door: door.open_orders()),
    "a row without an id": ("/portfolio/orders", b'{"orders":[{}],"cursor":""}', lambda door: door.open_orders()),
    "a list that never ends": ("/portfolio/orders", b'{"orders":[],"cursor":"x"}', lambda door: door.open_orders()),
    "a list for an object": ("/portfolio/orders", b"[]", lambda door: door.open_orders()),
    "the shapes of old": ("/portfolio/positions", b'{"positions":[],"cursor":""}', lambda door: door.positions()),
    "fills of old": ("/portfolio/fills", b'{"cursor":""}', lambda door: door.fills_since(NOON)),
    "no name": ("/communications/id", b'{"communications_id":""}', lambda door: door.account()),
    "no groups": ("/portfolio/order_groups", b"{}", lambda door: door.set_suspended(False)),
    "half a status": ("/exchange/status", b'{"exchange_active":true}', lambda door: door.status()),
}


class TestKalshi(VenueContract):
    """Every clause as it stands."""

    # What only this venue has

    def test_the_halt_makes_a_group_where_there_is_none_and_reaches_every_group(self, rig: Rig) -> None:
        door = rig.door("live")
        assert door.account().suspended is False  # no group is no halt
        door.set_suspended(True)
        assert door.account().suspended is True
        door.set_suspended(False)
        rig.served.do(lambda: rig.served.venue.desks["live"].create_group(Decimal(5)))
        door.set_suspended(True)
        groups = rig.served.venue.desks["live"].account.groups
        assert [group.triggered for group in groups.values()] == [True, True]

    def test_one_group_that_is_not_triggered_is_no_halt(self, rig: Rig, door: VenueActor) -> None:
        door.set_suspended(True)
        made = rig.served.do(lambda: rig.served.venue.desks["paper"].create_group(Decimal(5)))
        assert door.account().suspended is False
        rig.served.do(lambda: rig.served.venue.desks["paper"].account.groups.pop(made.id))

    def test_a_halt_that_does_not_read_back_is_an_error(self, rig: Rig, door: VenueActor) -> None:
        rig.fault("stuck_latch")
        with pytest.raises(VenueError, match="read back"):
            door.set_suspended(True)

    def test_a_position_can_be_closed_while_the_venue_is_halted(self, rig: Rig, door: VenueActor) -> None:
        door.place(rig.wish(crossing=True))
        door.set_suspended(True)
        position = held(door, TICKER)
        door.close_position(position, rig.client_id())
        assert held(door, TICKER).qty == 0

    def test_a_short_position_is_bought_back_and_a_stale_size_never_turns_it(self, rig: Rig, door: VenueActor) -> None:
        rig.by_hand("sell", Decimal("0.30"), Decimal(5))
        short = held(door, TICKER)
        assert (short.qty, short.market_value_usd > 0) == (Decimal(-5), True)
        door.close_position(replace(short, qty=Decimal(-9)), rig.client_id())
        assert held(door, TICKER).qty == 0
        with pytest.raises(VenueError):  # nothing left to reduce
            door.close_position(short, rig.client_id())

    def test_two_keys_of_different_accounts_are_no_account(self, rig: Rig) -> None:
        mine, bait = rig.keys(), rig.issue("paper", "observer")
        other = replace(rig.served.venue.keys.issued[bait["key"]], environment="live")
        rig.served.do(lambda: rig.served.venue.keys.issued.update({bait["key"]: other}))
        with pytest.raises(VenueError) as caught:
            rig.door(keys=Keys(mine.bot, credentials(bait), mine.kill)).account()
        assert caught.value.status == 401

    def test_what_the_venue_does_not_say_of_a_key_is_unknown(self, rig: Rig) -> None:
        def issue() -> tuple[Any, str]:
            return rig.served.venue.keys.issue("paper", "restricted", ["read", "write::trade"], 0)

        key, secret = rig.served.do(issue)
        restricted = credentials({"key": key.key_id, "secret": secret})
        assert rig.door(keys=Keys(restricted, restricted, restricted)).key() == KeyView(None, None, None)
        seen = rig.door(keys=Keys(restricted, rig.keys().observer, None)).key()
        assert (seen.may_trade, seen.may_withdraw) == (True, False)

    @pytest.mark.parametrize(
        ("scopes", "trade", "withdraw"),
        [(["read", "write"], True, True), (["read", "write::transfer"], False, True), (["read"], False, False)],
    )
    def test_plain_write_holds_transfers(self, rig: Rig, scopes: list[str], trade: bool, withdraw: bool) -> None:
        key, secret = rig.served.do(lambda: rig.served.venue.keys.issue("paper", "test", scopes))
        one = credentials({"key": key.key_id, "secret": secret})
        assert rig.door(keys=Keys(one, one, one)).key() == KeyView(frozenset(scopes), trade, withdraw)

    def test_what_is_older_than_the_cut_off_is_still_found(self, rig: Rig, door: VenueActor) -> None:
        wish, since = rig.wish(crossing=True), rig.now - timedelta(seconds=1)
        made = door.place(wish)
        rig.later(100 * 86_400)
        assert door.order_by_client_id(wish.client_id) == door.order(made.id)
        assert made.id in {fill.order_id for fill in door.fills_since(since)}
        assert door.place(wish).id == made.id

    @pytest.mark.parametrize(
        ("host", "paper"),
        [
            ("https://external-api.demo.kalshi.co/trade-api/v2", True),
            ("https://demo-api.kalshi.co", True),
            ("https://external-api.kalshi.com/trade-api/v2", False),
            ("https://api.elections.kalshi.com/trade-api/v2", False),
            ("https://kalshi.com.example.org", None),
            ("https://notkalshi.co", None),
            ("http://127.0.0.1:1", None),
        ],
    )
    def test_only_the_documented_hosts_tell_paper_from_live(self, host: str, paper: bool | None) -> None:
        assert kalshi._paper(host) is paper

    def test_an_address_with_the_root_is_the_same_address(self, rig: Rig) -> None:
        assert rig.door(endpoint=rig.served.endpoints["paper"] + "/trade-api/v2/").account().number

    @pytest.mark.parametrize("secret", ["", "not base64!", "AAAA", "-----BEGIN"])
    def test_a_secret_that_is_no_key_is_said_and_not_shown(self, rig: Rig, secret: str) -> None:
        wrong = credentials({"key": rig.keys().bot.part("key"), "secret": secret})
        with pytest.raises(VenueError) as caught:
            rig.door(keys=Keys(wrong, wrong, wrong)).open_orders()
        assert "base64 of PKCS#8" in str(caught.value)
        assert not secret or secret not in str(caught.value)

    @pytest.mark.parametrize("what", ODD)
    def test_an_answer_of_another_shape_is_unknown(self, rig: Rig, what: str) -> None:
        """Each of them could pass for an empty account."""
        path, body, act = ODD[what]
        answers = {"GET /trade-api/v2/historical/cutoff": (200, b"{}"), f"GET /trade-api/v2{path}": (200, body)}
        with answering(answers) as url, pytest.raises(VenueError):
            act(rig.door(endpoint=url))
