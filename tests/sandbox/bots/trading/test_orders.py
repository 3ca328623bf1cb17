from __future__ import annotations

from decimal import Decimal

import pytest

from ops.sandbox.bots.trading.signals import signal_at
from ops.sandbox.bots.venue import NewOrder, VenueRefused, VenueUnknown

from ..conftest import Rig, Start


def _to_buy(rig: Rig) -> None:
    while signal_at("AAPL", rig.clock.now(), 5).intent != "buy":
        rig.clock.advance(5)


def _client_id(rig: Rig) -> str:
    return rig.worker.desk.client_id(signal_at("AAPL", rig.clock.now(), 5))


def _status(rig: Rig) -> str | None:
    return rig.worker.audit.order_status(_client_id(rig))


def test_a_round_of_four_buckets_is_back_to_flat_with_one_resting_order(start: Start) -> None:
    rig = start()
    _to_buy(rig)
    rig.run(4)
    assert [(order.side, order.time_in_force) for order in rig.venue.submissions] == [
        ("buy", "day"),
        ("sell", "day"),
        ("buy", "gtc"),
    ]
    assert rig.worker.audit.held("AAPL") == 0
    assert [order.status for order in rig.venue.open_orders()] == ["new"]
    assert rig.rows("SELECT count(*) FROM fills") == [(2,)]
    outcomes = rig.rows("SELECT action, outcome FROM decisions ORDER BY id")
    assert outcomes == [("buy", "submit"), ("sell", "submit"), ("hold", "hold"), ("rest", "submit")]


def test_the_decision_is_on_disk_before_the_order_is_sent(start: Start) -> None:
    rig = start()
    _to_buy(rig)
    seen: list[object] = []

    def look(order: NewOrder) -> object:
        query = "SELECT d.outcome, o.status FROM decisions d JOIN orders o USING (client_order_id)"
        seen.extend(rig.rows(query))
        return rig.venue.place(order)

    rig.venue.submit = look
    rig.worker.run_once()
    assert seen == [("submit", "intent")]


def test_a_signal_is_sent_once_per_bucket_and_never_after_a_restart(start: Start) -> None:
    rig = start()
    _to_buy(rig)
    rig.run(3, seconds=1)
    again = start()
    again.run(1)
    assert len(rig.venue.submissions) == 1
    last = again.rows("SELECT outcome, reason FROM decisions ORDER BY id DESC LIMIT 1")
    assert last == [("refused", "duplicate: this signal already led to an order")]


def test_an_order_the_venue_has_and_the_table_lacks_is_a_duplicate(start: Start) -> None:
    rig = start()
    _to_buy(rig)
    held_by_venue = NewOrder(_client_id(rig), "AAPL", "buy", Decimal(2), Decimal(90), "gtc", Decimal(90))
    rig.venue.place(held_by_venue)
    rig.run(1)
    assert rig.venue.submissions == []
    assert "duplicate: the venue has it" in str(rig.rows("SELECT reason FROM decisions"))


@pytest.mark.parametrize(
    ("error", "accepted", "statuses"),
    [
        (VenueUnknown("submit: ReadTimeout"), True, ["filled"]),
        (VenueUnknown("submit: HTTP 504"), True, ["filled"]),
        (VenueUnknown("submit: ReadTimeout"), False, ["unknown", "unknown", "not_accepted"]),
        (VenueRefused("submit: HTTP 403 insufficient"), False, ["rejected"]),
    ],
)
def test_a_lost_answer_is_looked_up_and_never_sent_again(
    start: Start, error: Exception, accepted: bool, statuses: list[str]
) -> None:
    rig = start()
    _to_buy(rig)
    if accepted:
        rig.venue.lose_answers = error
    else:
        rig.venue.broken["submit"] = error
    seen = []
    for _ in statuses:
        rig.worker.run_once()
        seen.append(_status(rig))
        rig.clock.advance(1)
    assert seen == statuses
    assert len(rig.venue.submissions) == accepted


def test_what_cannot_be_looked_up_is_not_sent(start: Start) -> None:
    rig = start()
    _to_buy(rig)
    rig.venue.broken["find_order"] = VenueUnknown("order by client id: HTTP 503")
    rig.run(1)
    assert rig.venue.submissions == []
    assert "lookup failed" in str(rig.rows("SELECT reason FROM decisions"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"MAX_ORDER_NOTIONAL_USD": "100"}, "limit: order of 200.24 USD, at most 100"),
        ({"MAX_POSITION_USD": "100"}, "limit: position would be 200.24 USD, at most 100"),
        ({"MAX_ORDERS_PER_DAY": "0"}, "limit: 0 orders today, at most 0"),
    ],
)
def test_orders_beyond_a_limit_are_refused_on_record(start: Start, changes: dict[str, str], reason: str) -> None:
    rig = start(**changes)
    _to_buy(rig)
    rig.run(1)
    assert rig.venue.submissions == []
    assert rig.rows("SELECT outcome, reason, qty FROM decisions") == [("refused", reason, "2.00")]


def test_only_own_open_orders_are_cancelled_also_those_a_list_hides(start: Start) -> None:
    rig = start()
    rig.run(8)
    mine = {order.order_id for order in rig.venue.open_orders()}
    assert len(mine) == 2
    for name in ("b7-p-AAPL-1", "a1-l-AAPL-1", "by hand"):
        rig.venue.place(NewOrder(name, "AAPL", "buy", Decimal(1), Decimal(50), "gtc", Decimal(50)))
    rig.venue.open_orders = lambda: []
    assert rig.worker.cancel_own() == 2
    assert set(rig.venue.cancels) == mine


def test_one_refused_or_lost_cancel_does_not_spare_the_others(start: Start) -> None:
    rig = start()
    rig.run(8)
    cancel, first = rig.venue.cancel, rig.venue.open_orders()[0].order_id

    def moody(order_id: str) -> None:
        if order_id == first:
            raise VenueUnknown("cancel: ReadTimeout")
        cancel(order_id)

    rig.venue.cancel = moody
    with pytest.raises(VenueUnknown):
        rig.worker.cancel_own()
    assert len(rig.venue.cancels) == 1
