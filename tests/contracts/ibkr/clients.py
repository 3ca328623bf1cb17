"""The public client libraries themselves, unmodified, against the simulator: one set of cases for both.

`test_ibkr_simulator.py` plays them with the library that is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import ModuleType
from typing import Any

from tests.contracts.rig import Rig

Case = Callable[["Client"], Awaitable[None]]
CLIENT_ID = 9


class Client:
    """An `IB()` of the library, connected with its own full start, and the errors that it heard."""

    def __init__(self, library: ModuleType, rig: Rig) -> None:
        self.library, self.rig, self.ib = library, rig, library.IB()
        self.errors: list[tuple[int, int, str]] = []
        self.ib.errorEvent += lambda request, code, text, *_: self.errors.append((request, code, text))
        self.stock = library.Stock("AAPL", "SMART", "USD")

    async def connect(self, client_id: int = CLIENT_ID, seconds: float = 3) -> Client:
        host, port = self.rig.served.endpoints["paper"].removeprefix("tcp://").split(":")
        await self.ib.connectAsync(host, int(port), clientId=client_id, timeout=seconds)
        return self

    def buy(self, price: float, qty: float = 2, **more: Any) -> Any:
        more = {"tif": "DAY", **more}
        return self.ib.placeOrder(self.stock, self.library.LimitOrder("BUY", qty, price, **more))

    async def until(self, holds: Callable[[], object], seconds: float = 3) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.005)

    async def status(self, trade: Any, wanted: str) -> None:
        await self.until(lambda: trade.orderStatus.status == wanted)

    async def code(self, wanted: int) -> str:
        """The text of the error with that code, when it comes."""
        await self.until(lambda: wanted in [code for _, code, _ in self.errors])
        return next(text for _, code, text in self.errors if code == wanted)

    async def later(self, seconds: float) -> None:
        """Let venue time pass, after what was sent has been heard."""
        await self.ib.reqCurrentTimeAsync()
        self.rig.later(seconds)


async def an_order_lives_and_is_cancelled(client: Client) -> None:
    assert client.ib.managedAccounts() == ["DU1234567"]
    trade = client.buy(100, orderRef="direct-1")
    await client.status(trade, "Submitted")
    assert trade.order.permId > 0
    (listed,) = await client.ib.reqAllOpenOrdersAsync()
    assert (listed.order.orderRef, listed.order.permId, listed.orderStatus.status) == (
        "direct-1", trade.order.permId, "Submitted",
    )  # fmt: skip
    client.ib.cancelOrder(trade.order)
    await client.later(1)
    await client.status(trade, "Cancelled")
    assert (await client.code(202)).startswith("Order Canceled")
    client.ib.cancelOrder(trade.order)
    assert "can not be cancelled, state: Cancelled" in await client.code(10148)
    ended = {t.order.permId: t.orderStatus.status for t in await client.ib.reqCompletedOrdersAsync(False)}
    assert ended[trade.order.permId] == "Cancelled"


async def an_order_fills_in_parts_and_shows_up_everywhere(client: Client) -> None:
    trade = client.ib.placeOrder(client.stock, client.library.MarketOrder("BUY", 700, tif="DAY", orderRef="direct-2"))
    await client.until(lambda: trade.orderStatus.filled == 500)
    await client.later(1)
    await client.status(trade, "Filled")
    assert [fill.execution.shares for fill in trade.fills] == [500, 200]
    fills = [f for f in await client.ib.reqExecutionsAsync() if f.execution.permId == trade.order.permId]
    assert [(f.execution.shares, f.execution.orderRef) for f in fills] == [(500, "direct-2"), (200, "direct-2")]
    assert abs(fills[0].execution.time - client.rig.start) < timedelta(seconds=1)
    (held,) = await client.ib.reqPositionsAsync()
    (valued,) = client.ib.portfolio()
    assert held.position == valued.position >= 700
    sale = client.ib.placeOrder(client.stock, client.library.MarketOrder("SELL", held.position, tif="DAY"))
    for _ in range(20):
        await client.later(1)
    await client.status(sale, "Filled")
    assert await client.ib.reqPositionsAsync() == []


async def the_gateway_refuses_what_it_must(client: Client) -> None:
    client.buy(100.005)
    assert "minimum price variation" in await client.code(110)
    client.buy(100, qty=1_000_000)
    assert (await client.code(201)).startswith("Order rejected - reason:")
    client.buy(100, qty=0.5)
    await client.code(10243)
    client.buy(100, account="U7654321")
    assert "Invalid account code" in await client.code(321)
    client.buy(100, goodAfterTime="20261120-23:00:00")
    await client.until(lambda: "wait for their time" in client.errors[-1][2])
    client.ib.placeOrder(client.library.Stock("NOPE", "SMART", "USD"), client.library.LimitOrder("BUY", 1, 100))
    await client.code(200)
    gone = client.buy(100)
    await client.status(gone, "Submitted")
    client.ib.client.placeOrder(gone.order.orderId - 1, client.stock, client.library.LimitOrder("BUY", 1, 100))
    await client.code(103)
    client.ib.client.cancelOrder(9999, "")
    await client.code(10147)
    client.ib.reqAutoOpenOrders(True)
    assert "Only the default client" in (client.errors[-1][2] if client.errors[-1][1] == 321 else await _last(client))
    assert [t.order.permId for t in await client.ib.reqAllOpenOrdersAsync()] == [gone.order.permId]


async def _last(client: Client) -> str:
    count = len(client.errors)
    await client.until(lambda: len(client.errors) > count)
    return client.errors[-1][2]


async def an_order_is_changed_within_the_cash_and_an_immediate_one_never_rests(client: Client) -> None:
    trade = client.buy(100, orderRef="direct-3")
    await client.status(trade, "Submitted")
    trade.order.totalQuantity = 1_000_000
    client.ib.placeOrder(client.stock, trade.order)
    assert "available cash" in await client.code(201)
    changed = client.library.LimitOrder("BUY", 3, 101, tif="DAY")
    client.ib.client.placeOrder(trade.order.orderId, client.stock, changed)  # to the library the order is dead now
    await client.ib.reqCurrentTimeAsync()
    lines = client.rig.log(client_order_id="direct-3")
    assert [(line["event"], line["qty"], line["price"]) for line in lines] == [
        ("accepted", "2", "100"), ("replaced", "3", "101"),
    ]  # fmt: skip
    await client.status(client.buy(100, tif="IOC", orderRef="direct-4"), "Cancelled")
    assert client.rig.events("direct-4") == ["accepted", "canceled"]
    with contextlib.suppress(Exception):  # the libraries differ in how they say it; both stay connected
        assert await client.ib.reqHistoricalDataAsync(client.stock, "", "1 D", "1 day", "TRADES", True) == []
    assert client.ib.isConnected()


async def what_if_places_nothing(client: Client) -> None:
    state = await client.ib.whatIfOrderAsync(client.stock, client.library.LimitOrder("BUY", 10, 100, tif="DAY"))
    assert (state.status, float(state.initMarginChange)) == ("PreSubmitted", 1000)
    assert await client.ib.reqAllOpenOrdersAsync() == []


async def a_client_id_is_one_connections_only(client: Client) -> None:
    second = Client(client.library, client.rig)
    try:
        await second.connect(seconds=0.3)  # the library waits it out, although the gateway has hung up
    except (TimeoutError, ConnectionError):
        assert "already in use" in await second.code(326)
        return
    raise AssertionError("the gateway let a second one in")


async def a_client_cancels_its_own_orders_only_and_the_global_cancel_all(client: Client) -> None:
    trade = client.buy(100)
    await client.status(trade, "Submitted")
    client.rig.by_hand()
    other = await Client(client.library, client.rig).connect(client_id=CLIENT_ID + 1)
    other.ib.client.cancelOrder(trade.order.orderId, "")
    await other.code(10147)
    assert len(await other.ib.reqAllOpenOrdersAsync()) == 2
    assert await other.ib.reqOpenOrdersAsync() == []
    other.ib.reqGlobalCancel()
    await other.later(1)
    await client.status(trade, "Cancelled")
    assert await other.ib.reqAllOpenOrdersAsync() == []
    other.ib.disconnect()


async def client_zero_binds_what_was_typed_in(client: Client) -> None:
    client.rig.by_hand()
    zero = await Client(client.library, client.rig).connect(client_id=0)
    await zero.until(lambda: [t for t in zero.ib.openTrades() if t.order.orderId > 0])
    (trade,) = [t for t in zero.ib.openTrades() if t.order.orderId > 0]
    zero.ib.cancelOrder(trade.order)
    await zero.later(1)
    await zero.status(trade, "Cancelled")
    zero.ib.disconnect()


async def market_data_hours_and_account_are_read(client: Client) -> None:
    await client.ib.qualifyContractsAsync(client.stock)
    (ticker,) = await client.ib.reqTickersAsync(client.stock)
    assert 150 < ticker.bid < ticker.ask < 250
    (details,) = await client.ib.reqContractDetailsAsync(client.stock)
    assert (details.minTick, details.timeZoneId) == (0.01, "US/Eastern")
    day = f"{client.rig.now:%Y%m%d}"
    assert details.liquidHours.startswith(f"{day}:0000-")
    summary = {row.tag: row.value for row in await client.ib.accountSummaryAsync()}
    assert float(summary["NetLiquidation"]) > 0
    stream = client.ib.reqMktData(client.stock)
    await client.until(lambda: stream.bid == stream.bid)
    seen = stream.bid
    await client.later(60)
    await client.until(lambda: stream.bid != seen)
    client.ib.cancelMktData(client.stock)


async def a_lost_and_found_link_is_told(client: Client) -> None:
    client.rig.fault("lost_link")
    await client.code(1100)
    client.buy(100, orderRef="direct-lost")
    await client.until(lambda: [r for r, code, _ in client.errors if code == 1100 and r > 0])
    client.rig.fault("lost_link", on=False)
    await client.code(1102)
    assert client.rig.events("direct-lost") == []


CASES: tuple[Case, ...] = (
    an_order_lives_and_is_cancelled,
    an_order_fills_in_parts_and_shows_up_everywhere,
    the_gateway_refuses_what_it_must,
    an_order_is_changed_within_the_cash_and_an_immediate_one_never_rests,
    what_if_places_nothing,
    a_client_id_is_one_connections_only,
    a_client_cancels_its_own_orders_only_and_the_global_cancel_all,
    client_zero_binds_what_was_typed_in,
    market_data_hours_and_account_are_read,
    a_lost_and_found_link_is_told,
)


def play(library: ModuleType, rig: Rig, case: Case) -> None:
    """One case in a loop of its own."""

    async def played() -> None:
        client = await Client(library, rig).connect()
        try:
            await case(client)
        finally:
            client.ib.disconnect()

    asyncio.run(played())
