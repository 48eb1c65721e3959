"""Reads that lag: what they see of an order and a position, and when."""

from __future__ import annotations

from support.exchange_core import TICKER, Core, bid

from processes.exchange.core.books import NO
from processes.exchange.core.history import Replica
from processes.exchange.core.orders import AccountOrder, OrderState

MS = 1_000_000


class Lagging(Core):
    """A core whose reads lie 300 ms (orders) and 1 s (positions) behind real time."""

    def __init__(self) -> None:
        super().__init__((NO, 5_000, 1_000))
        self.real_ns = 1_000 * MS
        self.replica = Replica(300, 1_000, lambda: self.real_ns)
        said = self.said.append

        def sink(event: object) -> None:
            said(event)
            self.replica(event)

        self.venue.emit = sink

    def seen(self, order: AccountOrder) -> OrderState | None:
        """The order's status as reads see it."""
        copy = self.replica.order(order)
        return None if copy is None else copy.status


def test_an_order_is_seen_late_and_its_cancel_later():
    core = Lagging()
    order = core.order_entry.create(core.accounts[0], bid(3_000, 100)).order
    assert core.seen(order) is None
    core.real_ns += 300 * MS
    assert core.seen(order) is OrderState.RESTING
    core.order_entry.cancel(core.accounts[0], order.order_id)
    core.real_ns += 299 * MS
    assert core.seen(order) is OrderState.RESTING
    core.real_ns += MS
    assert core.seen(order) is OrderState.CANCELED


def test_what_is_seen_does_not_change_under_the_reader():
    core = Lagging()
    order = core.order_entry.create(core.accounts[0], bid(5_000, 400)).order
    core.real_ns += 300 * MS
    seen = core.replica.order(order)
    core.change(NO, 5_000, 100)
    assert seen is not None
    cost = dict(seen.cost_e6)
    order.cost_e6[True] += 1
    assert seen.cost_e6 == cost


def test_positions_lag_by_their_own_measure():
    core = Lagging()
    account = core.accounts[0]
    core.order_entry.create(account, bid(5_000, 400))
    core.real_ns += 999 * MS
    assert core.replica.position(account, TICKER) is None
    core.real_ns += MS
    seen = core.replica.position(account, TICKER)
    assert seen is not None
    assert seen.count_e2 == 400
    core.order_entry.create(account, bid(5_000, 100))
    assert core.replica.position(account, TICKER).count_e2 == 400


def test_without_a_lag_reads_are_live():
    core = Lagging()
    core.replica.orders_lag_ms = core.replica.positions_lag_ms = 0
    order = core.order_entry.create(core.accounts[0], bid(5_000, 400)).order
    assert core.replica.order(order) is order
    assert core.replica.position(core.accounts[0], TICKER).count_e2 == 400
