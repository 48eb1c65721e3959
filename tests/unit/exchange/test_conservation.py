"""No micro-dollar appears or vanishes, whatever three accounts of two users do on two shards."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.units import ONE_DOLLAR_E4
from models.trading.fees import FeeRule, FeeSchedule
from processes.exchange.core.books import NO, YES
from processes.exchange.core.collateral_return import guaranteed_e6
from processes.exchange.core.ledger import TradingAccount, Transfer, Transfers
from processes.exchange.core.markets import ListedMarket, MarketFacts
from processes.exchange.core.operations import Pauses
from processes.exchange.core.order_entry import GroupCommands, OrderEntry
from processes.exchange.core.orders import (
    AccountOrder,
    Amendment,
    NewOrder,
    OrderState,
    OrderTimeInForce,
    SelfTradePrevention,
)
from processes.exchange.core.rejections import Rejection
from processes.exchange.core.venue import Venue

START_MS = 1_795_500_000_000
CASH_E6 = 8_000_000
GROUP_LIMIT_E2 = 300
RESULTS = {0: "no", 3_333: "scalar", ONE_DOLLAR_E4: "yes"}

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("create", "create", "create", "create", "take", "take", "fill_or_kill"),
                *("reduce", "cancel", "cancel_all", "amend", "decrease", "group", "trigger"),
                *(
                    "reset",
                    "transfer",
                    "lend",
                    "aim",
                    "pause",
                    "resume",
                    "wait",
                    "delete",
                    "create",
                    "net",
                ),
            ]
        ),
        st.integers(0, 2),  # account
        st.integers(0, 2),  # market
        st.sampled_from([YES, NO]),
        st.integers(35, 65),  # cents
        st.integers(1, 500),  # 1e-2 contracts
        st.booleans(),
    ),
    min_size=20,
    max_size=80,
)


class World:
    """A user with a subaccount and one without; two markets of which one is yes at most on shard
    0, and one on shard 2.
    """

    def __init__(self, fees: FeeSchedule) -> None:
        self.now_ms = START_MS
        users = [TradingAccount(f"u{n}", CASH_E6) for n in (1, 2)]
        self.venue = Venue(users, lambda: self.now_ms, lambda _: None, {"KXA": 0, "KXB": 2})
        numbers = count(1)
        new_id: Callable[[], str] = lambda: f"id-{next(numbers)}"  # noqa: E731
        self.order_entry = OrderEntry(self.venue, new_id, shadow=False)
        self.groups = GroupCommands(self.order_entry, new_id)
        self.transfers = Transfers(new_id)
        self.pauses = Pauses(self.order_entry)
        names = [("KXA", "A"), ("KXB", "A"), ("KXA", "B")]
        self.markets = [self._market(*name, fees) for name in names]
        self.order_entry.returns.set_exclusive("KXA-1", on=True)
        self.accounts = [*users, self.venue.members["u1"].open()]
        for account in users:
            self._move(account, 0, 2, CASH_E6 // 2)
        for account in self.accounts:
            for shard in (0, 2):
                self.groups.create(account, GROUP_LIMIT_E2, shard)

    def _market(self, series: str, name: str, fees: FeeSchedule) -> ListedMarket:
        facts = MarketFacts(
            ticker=f"{series}-1-{name}",
            event_ticker=f"{series}-1",
            series_ticker=series,
            open_ms=START_MS,
            close_ms=START_MS + 900_000,
            fees=fees,
        )
        market = self.venue.add_market(facts)
        self.order_entry.open(market)
        self.venue.open_market(market, START_MS)
        return market

    def _move(self, account: TradingAccount, source: int, destination: int, amount_e6: int) -> None:
        asked = Transfer("", "", source, destination, amount_e6, self.now_ms)
        own = msgspec.structs.replace(asked, from_account=account.number, to_account=account.number)
        self.transfers.move(self.venue.members[account.user_id], own)

    def _lend(self, account: TradingAccount, shard: int, amount_e6: int) -> None:
        """From a user's account to its other one, if it has one."""
        asked = Transfer("", "", shard, shard, amount_e6, self.now_ms, account.number)
        asked = msgspec.structs.replace(asked, to_account=1 - account.number)
        self.transfers.move(self.venue.members[account.user_id], asked)

    def act(
        self,
        what: str,
        account: TradingAccount,
        market: ListedMarket,
        leg: int,
        cents: int,
        size: int,
        flag: bool,
    ) -> None:
        """One step; the exchange may refuse it."""
        try:
            self._act(what, account, market, leg, cents * 100, size, flag)
        except Rejection:
            return

    def _act(
        self,
        what: str,
        account: TradingAccount,
        market: ListedMarket,
        leg: int,
        price_e4: int,
        size: int,
        flag: bool,
    ) -> None:
        match what:
            case "create" | "take" | "fill_or_kill" | "reduce":
                self.order_entry.create(
                    account, self._asked(what, account, market, leg, price_e4, size, flag)
                )
            case "cancel" | "decrease" | "amend":
                self._change(what, account, price_e4, size, flag)
            case "cancel_all":
                self.order_entry.cancel_all([account])
            case "group":
                self.groups.create(account, size, market.facts.exchange_index)
            case "trigger" | "reset" | "delete":
                for group in self.order_entry.groups.of(account)[:1]:
                    getattr(self.groups, what)(group)
            case "transfer":
                self._move(account, 2 * flag, 2 - 2 * flag, size * 10_000)
            case "lend":
                self._lend(account, 2 * flag, size * 10_000)
            case "aim":
                member = self.venue.members[account.user_id]
                self.transfers.aim(member, {0: cents_of(price_e4), 2: 100 - cents_of(price_e4)})
                self.transfers.rebalance(member)
            case "pause" | "resume":
                self.pauses.market(market, on=what == "pause")
            case "net":
                self._net(account, on=flag)
            case "wait":
                self.now_ms += size * 100
                self.order_entry.expire(self.now_ms)

    def _net(self, account: TradingAccount, *, on: bool) -> None:
        """Ask for collateral back, or no more; only what is free can be given up."""
        returned_e6 = account.returned_e6.get("KXA-1", 0)
        if account.collateral(0).available_e6 < returned_e6:
            return
        netting = self.venue.members[account.user_id].netting
        (netting.add if on else netting.discard)(account.number)
        self.order_entry.returns.update_all(account)

    def _asked(
        self,
        what: str,
        account: TradingAccount,
        market: ListedMarket,
        leg: int,
        price_e4: int,
        size: int,
        flag: bool,
    ) -> NewOrder:
        words = {
            "create": OrderTimeInForce.GOOD_TILL_CANCELED,
            "fill_or_kill": OrderTimeInForce.FILL_OR_KILL,
        }
        groups = [
            g.group_id
            for g in self.order_entry.groups.of(account)
            if g.exchange_index == market.facts.exchange_index
        ]
        return NewOrder(
            ticker=market.ticker,
            client_order_id="",
            leg=leg,
            leg_price_e4=price_e4,
            count_e2=size,
            time_in_force=words.get(what, OrderTimeInForce.IMMEDIATE_OR_CANCEL),
            self_trade=SelfTradePrevention.MAKER if flag else SelfTradePrevention.TAKER_AT_CROSS,
            reduce_only=what == "reduce",
            post_only=what == "create" and flag and size % 2 == 0,
            cancel_on_pause=flag,
            group_id=groups[0] if groups and size % 2 else "",
            expiration_s=self.now_ms // 1000 + 20 if what == "create" and size % 5 == 0 else None,
        )

    def _change(
        self, what: str, account: TradingAccount, price_e4: int, size: int, flag: bool
    ) -> None:
        mine = [o for o in self.order_entry.live_orders() if o.account is account]
        if not mine:
            return
        order = mine[size % len(mine)]
        if what == "cancel":
            self.order_entry.cancel(account, order.order_id)
        elif what == "decrease":
            self.order_entry.decrease(account, order.order_id, order.remaining_e2 // 2)
        else:
            leg_price_e4 = price_e4 if flag else order.leg_price_e4
            total_e2 = order.filled_e2 + size
            self.order_entry.amend(
                account,
                order.order_id,
                Amendment(order.ticker, order.leg, leg_price_e4, total_e2),
            )

    def check(self) -> None:
        """The books of money balance, here and now."""
        locked_e6 = 0
        for market in self.markets:
            positions = [a.position(market.ticker).count_e2 for a in self.accounts]
            assert sum(positions) == 0
            locked_e6 += sum(p for p in positions if p > 0) * ONE_DOLLAR_E4
            self._check_book(market)
        fees_e6 = sum(p.fees_e6 for a in self.accounts for p in a.positions.values())
        cash_e6 = sum(a.cash_e6 - sum(a.returned_e6.values()) for a in self.accounts)
        assert cash_e6 + fees_e6 + locked_e6 == CASH_E6 * len(self.venue.members)
        for account in self.accounts:
            self._check_account(account)

    def _check_account(self, account: TradingAccount) -> None:
        positions = account.positions.values()
        gained = sum(p.realized_e6 - p.fees_e6 - p.cost_e6 for p in positions)
        returned = sum(account.returned_e6.values())
        assert account.cash_e6 == account.start_cash_e6 + account.moved_e6 + gained + returned
        nets = account.number in self.venue.members[account.user_id].netting
        counts = [account.position(f"KXA-1-{name}").count_e2 for name in "AB"]
        assert returned == guaranteed_e6(counts) * nets
        assert all(collateral.available_e6 >= 0 for collateral in account.collaterals.values())
        for market in self.markets:
            clearing = self.order_entry.clearings[market.ticker]
            beside = clearing.collateral(account).available_beside(market.ticker)
            held = beside - clearing.collateral(account).available_e6
            assert held == clearing.hold(account)

    def _check_book(self, market: ListedMarket) -> None:
        resting = self.order_entry.clearings[market.ticker].matcher.resting
        for leg in (YES, NO):
            shown: dict[int, int] = {}
            for order in resting[leg]:
                assert order.status is OrderState.RESTING
                shown[order.leg_price_e4] = shown.get(order.leg_price_e4, 0) + order.remaining_e2
            assert shown == market.book.legs[leg]

    def settle(self, market: ListedMarket, value_e4: int) -> None:
        """To its end."""
        self.order_entry.close(market)
        self.venue.close_market(market, self.now_ms)
        self.venue.determine_market(market, RESULTS[value_e4], value_e4, self.now_ms)
        self.order_entry.settle(market, self.now_ms)
        self.venue.settle_market(market, self.now_ms)


def cents_of(price_e4: int) -> int:
    return price_e4 // 100


def sides_are_counted(order: AccountOrder) -> bool:
    """Filled and remaining never exceed what was asked for."""
    return order.filled_e2 + order.remaining_e2 <= order.initial_e2


@settings(max_examples=300)
@given(
    STEPS,
    st.sampled_from(list(FeeRule)),
    st.sampled_from(list(RESULTS)),
    st.sampled_from(list(RESULTS)),
)
def test_collateral_is_conserved(steps, rule, value_e4, corrected_e4):
    world = World(FeeSchedule.of(rule, "quadratic_with_maker_fees"))
    for what, who, where, *rest in steps:
        world.act(what, world.accounts[who], world.markets[where], *rest)
        world.check()
    assert all(sides_are_counted(o) for o in world.order_entry.orders.values())
    assert all(f.count_e2 > 0 for fills in world.order_entry.fills.values() for f in fills)
    for market in world.markets:
        world.settle(market, value_e4)
    assert all(not account.returned_e6 for account in world.accounts)
    world.order_entry.correct(world.markets[0], RESULTS[corrected_e4], corrected_e4, world.now_ms)
    for account in world.accounts:
        assert account.held_e6 == 0
    cash_e6 = sum(a.cash_e6 for a in world.accounts)
    fees_e6 = sum(p.fees_e6 for a in world.accounts for p in a.positions.values())
    assert cash_e6 + fees_e6 == CASH_E6 * len(world.venue.members)
