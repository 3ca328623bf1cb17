"""The whole venue: a desk and a key ring per environment, one market, the faults and the store."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from eth_utils.crypto import keccak

from ops.sandbox.venues.levers import LeveredVenue, Levers, known_hours
from ops.sandbox.venues.market import derived_uuid
from ops.sandbox.venues.polymarket.api import Call, order_row
from ops.sandbox.venues.polymarket.desk import Desk, Refusal, Ticket
from ops.sandbox.venues.polymarket.faults import FAULTS
from ops.sandbox.venues.polymarket.http import PolymarketListener
from ops.sandbox.venues.polymarket.keys import KeyRing
from ops.sandbox.venues.polymarket.market import Market
from ops.sandbox.venues.polymarket.records import Account, Key, Order, Trade
from ops.sandbox.venues.polymarket.signing import wallet_address, wallet_key
from ops.sandbox.venues.store import Store
from ops.sandbox.venues.venue import ENVIRONMENTS, Listener, Opening

SITE = derived_uuid("polymarket", "site")
"""Owner, in rows and in the order log, of orders made on the venue's site."""


class SimulatedPolymarket(LeveredVenue):
    """The simulated venue (`SimulatedVenue`). Symbols are token ids; account numbers are the two known wallets'.

    Raises ValueError for a world that names other accounts, or symbols that cannot be tokens.
    """

    def __init__(self, opening: Opening) -> None:
        self.opening, self.clock = opening, opening.clock
        self.market = Market(opening.symbols, opening.seed)
        self.store = Store(opening.state / "polymarket.sqlite")
        self.levers = Levers(self.store, FAULTS, self.market.prices)
        self.faults = self.levers.faults
        self.keys = {name: KeyRing(name, self.store.load(Key, name), opening.entropy) for name in ENVIRONMENTS}
        self.desks = {name: self._desk(name) for name in ENVIRONMENTS}

    def _desk(self, environment: str) -> Desk:
        number, cash = self.opening.accounts[environment]
        if number != wallet_address(environment):
            raise ValueError(f"the {environment} account of the simulated Polymarket is {wallet_address(environment)}")
        account = self.store.account(Account, environment) or Account(environment, number, cash)
        desk = Desk(account, self.market, self.opening.record, lambda: self.levers.cancel_sticks(environment))
        for order in self.store.load(Order, environment):
            desk.adopt(order)
        desk.trades.extend(self.store.load(Trade, environment))
        return desk

    def listeners(self) -> Mapping[str, Listener]:
        """The paper and the live API, each with the data API on it."""
        return {name: Listener(app=PolymarketListener(self, name)) for name in ENVIRONMENTS}

    def issue_key(self, environment: str, purpose: str) -> Mapping[str, str]:
        """New L2 credentials; the bot's also hold the wallet's private key. Earlier keys stay valid."""
        if purpose not in ("bot", "observer", "kill"):
            raise ValueError(f"unknown purpose {purpose!r}: bot, observer or kill")
        key = self.keep(self.keys[environment].make(purpose))
        wallet = {"wallet": wallet_key(environment)} if purpose == "bot" else {}
        return {"key": key.id, "secret": key.secret, "passphrase": key.passphrase, **wallet}

    def keep(self, key: Key) -> Key:
        """Write a key down."""
        self.store.save([(key.id, key)], key.environment)
        return key

    def revoke(self, key: Key) -> str:
        """The key's own last wish; the venue answers OK."""
        key.valid = False
        self.keep(key)
        return "OK"

    def settle(self) -> None:
        """Let time pass on both books."""
        for environment, desk in self.desks.items():
            desk.settle(self.clock.now())
            self.save(environment)

    def save(self, environment: str) -> None:
        """Write what changed; free when nothing did."""
        desk = self.desks[environment]
        if desk.changed:
            self.store.save(desk.changed.items(), environment)
            desk.changed.clear()

    def set_hours(self, hours: str) -> None:
        """Polymarket trades around the clock, so both words mean the same."""
        known_hours(hours)

    def place_by_hand(self, environment: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """symbol, side, qty, limit_price; good till cancelled. Raises ValueError if refused."""
        desk, at = self.desks[environment], self.clock.now()
        try:
            token, side = str(body["symbol"]), str(body["side"]).upper()
            qty, price = Decimal(str(body["qty"])), Decimal(str(body["limit_price"]))
        except (KeyError, ArithmeticError) as error:
            raise ValueError(f"an order needs symbol, side, qty, limit_price: {error!r}") from None
        if token not in self.market.tokens or side not in ("BUY", "SELL"):
            raise ValueError(f"unknown symbol or side: {token} {side}")
        number = "0x" + keccak(text=f"site {environment} {desk.account.orders_count}").hex()
        wish = Ticket(number, token, side, qty, price, "GTC", SITE, "")
        try:
            order = desk.submit(wish, at)
        except Refusal as refusal:
            desk.log_refused(wish, str(refusal), at)
            raise ValueError(str(refusal)) from None
        self.save(environment)
        return order_row(desk, Call("POST", "/order", {}, b"", at), order)

    def close(self) -> None:
        """Write what changed, close the file."""
        for environment in self.desks:
            self.save(environment)
        self.store.close()
