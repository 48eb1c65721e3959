"""Money by shard: what the exchange reported, what was done since, and what that refuses."""

from __future__ import annotations

from typing import Any

from support.order_manager import ManagerRig
from support.orders import TICKER, fill, intent

from ipc.messages import OrderStatus
from ipc.units import LINEAR_CENT
from processes.execution.account import Doubt, ShardFunds, ShardMoney
from processes.execution.order_facts import AmendRefused
from processes.execution.orders import CreateAccepted, OrderRefused, SendAmend, SendOrder
from processes.execution.risk import NO_MONEY

CENT_E6 = 10_000
DOLLAR_E6 = 1_000_000
SHARD = 2


def money(**worth_e6: int) -> ShardMoney:
    """Markets A and B on shard 0, C on shard 1, their worth known, 10 and 1 dollars there."""
    made = ShardMoney()
    for ticker, shard in (("A", 0), ("B", 0), ("C", 1)):
        made.shards[ticker] = shard
        made.update(ticker, worth_e6.get(ticker, 0), is_known=True)
    made.on_balance({0: 10 * DOLLAR_E6, 1: DOLLAR_E6}, made.begin_read())
    return made


def free(made: ShardMoney, ticker: str) -> int:
    funds = made.funds(ticker)
    assert funds is not None
    return funds.free_e6


def test_nothing_is_known_before_the_first_read() -> None:
    made = ShardMoney()
    made.shards["A"] = 0
    assert made.funds("A") is None
    assert made.by_shard_e6() == {}


def test_an_order_takes_from_its_shard_and_from_no_other() -> None:
    made = money()
    made.update("A", -3 * DOLLAR_E6, is_known=True)
    assert free(made, "A") == free(made, "B") == 7 * DOLLAR_E6
    assert made.funds("C") == ShardFunds(1, DOLLAR_E6, 0, 7 * DOLLAR_E6)
    made.update("A", 0, is_known=True)
    assert made.by_shard_e6() == {0: 10 * DOLLAR_E6, 1: DOLLAR_E6}


def test_what_changes_while_a_read_is_under_way_counts_against_us() -> None:
    made = money()
    begun = made.begin_read()
    made.update("A", -3 * DOLLAR_E6, is_known=True)  # in the answer, or not
    made.on_balance({0: 7 * DOLLAR_E6}, begun)
    assert free(made, "A") == 4 * DOLLAR_E6
    made.on_balance({0: 7 * DOLLAR_E6}, made.begin_read())
    assert free(made, "A") == 7 * DOLLAR_E6
    begun = made.begin_read()
    made.update("A", 0, is_known=True)  # given back
    made.on_balance({0: 7 * DOLLAR_E6}, begun)
    assert free(made, "A") == 7 * DOLLAR_E6


def test_an_account_in_doubt_gains_nothing_until_the_next_read() -> None:
    made = money()
    made.update("A", 5 * DOLLAR_E6, is_known=False)  # fills of long ago, found only now
    assert free(made, "A") == 10 * DOLLAR_E6
    made.update("A", 2 * DOLLAR_E6, is_known=False)
    assert free(made, "A") == 7 * DOLLAR_E6


def test_a_shard_that_the_exchange_does_not_name_holds_nothing() -> None:
    made = money()
    made.on_balance({0: DOLLAR_E6}, made.begin_read())
    assert free(made, "C") == 0
    made.shards["D"] = 7
    assert free(made, "D") == 0


def test_a_market_that_is_over_changes_nothing() -> None:
    made = money(A=-2 * DOLLAR_E6)
    made.forget("A")
    assert free(made, "B") == 10 * DOLLAR_E6
    assert made.funds("A") is None


class Rig(ManagerRig):
    """A manager whose market lies on a shard with so much money."""

    def __init__(self, dollars: str, elsewhere: int = 0, **limits: Any) -> None:
        super().__init__(**limits)
        self.state.follow(TICKER, LINEAR_CENT, shard=SHARD)
        self.known()
        self.balance(dollars, elsewhere)

    def balance(self, dollars: str, elsewhere: int = 0) -> None:
        """The exchange says so."""
        by_shard = {SHARD: int(float(dollars) * DOLLAR_E6), 0: elsewhere * DOLLAR_E6}
        self.state.on_balance(by_shard, self.state.money.begin_read())

    def reasons(self) -> list[str]:
        """Of what was refused since the last call."""
        orders = [n.message for n in self.drain().notes if hasattr(n.message, "reason")]
        return [o.reason for o in orders if o.status is OrderStatus.REJECTED]


def test_a_create_without_money_is_refused_with_the_command_that_moves_it() -> None:
    rig = Rig("1.50", elsewhere=400)
    rig.manager.on_intent(intent(), 0)  # 10 at 40 cents, and the fee
    (reason,) = rig.reasons()
    assert reason == (
        f"{NO_MONEY}: shard 2 has 1.500000 dollars; kalshi-actor funds move 3.00 --from 0 --to 2"
    )
    assert rig.state.counters[f"refused_{NO_MONEY}"] == 1
    assert rig.history[-1].warnings[0][0] == NO_MONEY
    assert not rig.history[-1].requests


def test_the_log_says_it_once_until_an_order_goes_there_again() -> None:
    rig = Rig("0", elsewhere=400)
    for n in range(3):
        rig.manager.on_intent(intent(f"i{n}"), 0)
    rig.drain()
    assert warned(rig) == 1
    rig.balance("50")
    rig.manager.on_intent(intent("i4", count_e2=100), 0)
    (sent,) = rig.requests(SendOrder)
    rig.state.on_fact(sent.order.client_order_id, OrderRefused("gone"))
    rig.balance("0", elsewhere=400)
    rig.manager.on_intent(intent("i5"), 0)
    rig.drain()
    assert warned(rig) == 2


def warned(rig: Rig) -> int:
    """Log lines about money so far."""
    return sum(action == NO_MONEY for box in rig.history for action, _ in box.warnings)


def test_the_richest_shard_is_named() -> None:
    rig = Rig("0")
    by_shard = {SHARD: 0, 0: 5 * DOLLAR_E6, 1: 400 * DOLLAR_E6, 3: 6 * DOLLAR_E6}
    rig.state.on_balance(by_shard, rig.state.money.begin_read())
    rig.manager.on_intent(intent(), 0)
    assert "--from 1 --to 2" in rig.reasons()[0]


def test_where_no_shard_has_enough_it_says_so() -> None:
    rig = Rig("0", elsewhere=3)
    rig.manager.on_intent(intent(), 0)
    assert rig.reasons()[0].endswith("no other shard has as much: deposit")


def test_what_rests_is_in_the_exchange_s_figure_and_what_was_just_sent_is_not() -> None:
    rig = Rig("6")
    rig.manager.on_intent(intent(), 0)
    (sent,) = rig.requests(SendOrder)
    assert rig.state.money.by_shard_e6()[SHARD] == 2 * DOLLAR_E6
    fact = CreateAccepted("o-1", 0, 1_000, 1)
    rig.state.on_fact(sent.order.client_order_id, fact)
    rig.balance("2")  # less what rests
    assert rig.state.money.by_shard_e6()[SHARD] == 2 * DOLLAR_E6


def test_an_order_that_is_amended_frees_its_own_money() -> None:
    rig = Rig("6")
    rig.manager.on_intent(intent(), 0)
    (sent,) = rig.requests(SendOrder)
    rig.state.on_fact(sent.order.client_order_id, CreateAccepted("o-1", 0, 1_000, 1))
    rig.drain()
    rig.manager.on_intent(intent("i2", yes_price_e4=4_100), 0)
    (request,) = rig.requests(SendAmend)
    assert rig.state.money.by_shard_e6()[SHARD] == 1_900_000  # of the dearer price, at once
    rig.state.on_fact(sent.order.client_order_id, AmendRefused(request.amend, "no"))
    assert rig.state.money.by_shard_e6()[SHARD] == 2 * DOLLAR_E6


def test_a_fill_takes_its_fee_and_a_sale_needs_no_money() -> None:
    rig = Rig("6")
    rig.manager.on_intent(intent(), 0)
    (sent,) = rig.requests(SendOrder)
    name = sent.order.client_order_id
    rig.state.on_fact(name, CreateAccepted("o-1", 0, 1_000, 1))
    rig.state.on_fill(
        fill("t1", order_id="o-1", client_order_id=name, count_e2=1_000, fee_e6=7 * CENT_E6)
    )
    rig.drain()
    assert rig.state.money.by_shard_e6()[SHARD] <= 2 * DOLLAR_E6 - 7 * CENT_E6
    rig.balance("-20")  # less than nothing, by what was done since it was read
    rig.manager.on_intent(intent("i2", is_buy=False), 0)
    assert rig.reasons() == []


def test_the_first_balance_ends_the_doubt_about_money() -> None:
    rig = ManagerRig()
    rig.state.doubt(Doubt.MONEY)
    rig.known()
    rig.manager.on_intent(intent(), 0)
    assert rig.last_order().reason == Doubt.MONEY.value
    rig.state.on_balance({0: DOLLAR_E6}, rig.state.money.begin_read())
    assert rig.state.accounts[TICKER].known
