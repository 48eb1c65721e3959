"""The manager against the local exchange's core: requests, answers and reports in any order.

Nothing here is a socket: the test is the network, which delivers late, twice or not at all. What
the exchange itself counts is the witness.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.exchange_core import TICKER as AT_CORE
from support.exchange_core import Core, ask, bid
from support.limits import LimitsRig
from support.orders import TICKER, intent

from ipc.messages import ActorFill, BookSide, Leg, OrderStatus
from models.trading.fees import NO_FEES, FeeBound
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder
from processes.exchange.core.books import YES
from processes.exchange.core.orders import AccountOrder, Amendment, OrderState
from processes.exchange.core.rejections import Rejection
from processes.execution.exposure import RestingOrder, market_risk
from processes.execution.order_facts import (
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CreateAccepted,
    CreateSent,
    OrderFact,
    OrderRefused,
    OrderReport,
    OutcomeUnknown,
)
from processes.execution.orders import (
    CancelOrder,
    FetchFills,
    LookUpOrder,
    OrderRequest,
    SendAmend,
    SendOrder,
    TrackedOrder,
)

LIMIT_E6 = 5_000_000
SIDES = (BookSide.ASK, BookSide.BID)
STATUS = {
    OrderState.RESTING: OrderStatus.RESTING,
    OrderState.CANCELED: OrderStatus.CANCELED,
    OrderState.EXECUTED: OrderStatus.EXECUTED,
}
PRICES = st.sampled_from([3_000, 4_000, 4_500, 5_000, 6_000])
COUNTS = st.sampled_from([100, 400, 1_000])


def side_at(order: AccountOrder) -> BookSide:
    return SIDES[order.leg == YES]


class Trading(RuleBasedStateMachine):
    """One market, our manager, a counterparty, and a network between."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Core(shadow=False)
        self.rig = LimitsRig("total_exposure = 5").market()
        self.names = count(1)
        self.wire: list[OrderRequest] = []  # requests that did not arrive yet
        self.answers: list[tuple[str, OrderFact]] = []  # of what arrived
        self.reports: list[ExchangeOrder | ActorFill] = []  # of the private channel
        self.fills = self.events = 0
        self.wanted: set[str] = set()

    # The network.

    def collect(self) -> None:
        """What the manager asks for, and what the exchange reports."""
        self.wire += self.rig.drain().requests
        for event in self.core.said[self.events :]:
            order = getattr(event, "order", None)
            if order is not None and order.account is self.core.accounts[0]:
                self.reports.append(self.shown(order))
        self.events = len(self.core.said)
        mine = self.core.order_entry.fills["u1"]
        self.reports += [self.fill_of(f) for f in mine[self.fills :]]
        self.fills = len(mine)

    def shown(self, order: AccountOrder) -> ExchangeOrder:
        return ExchangeOrder(
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            market_ticker=TICKER,
            book_side=side_at(order),
            yes_price_e4=order.yes_price_e4,
            initial_count_e2=order.initial_e2,
            fill_count_e2=order.filled_e2,
            remaining_count_e2=order.remaining_e2,
            status=STATUS[order.status],
            fees_e6=0,
            cost_e6=0,
            expire_ms=order.expiration_ms,
            created_ms=order.created_ms,
            updated_ms=order.updated_ms,
        )

    def fill_of(self, fill: Any) -> ActorFill:
        return ActorFill(
            trade_id=fill.trade_id,
            order_id=fill.order_id,
            client_order_id=None,
            market_ticker=TICKER,
            book_side=SIDES[fill.leg == YES],
            yes_price_e4=fill.yes_price_e4,
            count_e2=fill.count_e2,
            is_taker=fill.is_taker,
            fee_e6=fill.fee_e6,
            ts_ms=fill.ts_ms,
        )

    def ours(self) -> list[AccountOrder]:
        account = self.core.accounts[0]
        return [o for o in self.core.order_entry.orders.values() if o.account is account]

    def at_core(self, order: TrackedOrder) -> AccountOrder | None:
        name = order.client_order_id
        return next((o for o in self.ours() if o.client_order_id == name), None)

    def carry_out(self, request: OrderRequest, *, lost: bool) -> None:
        """A request arrives at the exchange; its answer begins its way, or is lost."""
        self.core.now_ms += 1
        name = request.order.client_order_id
        if isinstance(request, SendOrder):
            self.answers.append((name, self.created(request.order, lost=lost)))
        elif isinstance(request, SendAmend):
            self.answers.append((name, self.amended(request, lost=lost)))
        elif isinstance(request, CancelOrder):
            self.canceled(request.order)
        elif isinstance(request, FetchFills):
            self.fills = 0
        elif isinstance(request, LookUpOrder):
            self.look_up(request.order)
        self.collect()

    def created(self, order: TrackedOrder, *, lost: bool) -> OrderFact:
        self.rig.state.on_fact(order.client_order_id, CreateSent(1))
        made = bid if order.book_side is BookSide.BID else ask
        asked = made(order.yes_price_e4, order.initial_e2, client_order_id=order.client_order_id)
        try:
            result = self.core.order_entry.create(self.core.accounts[0], asked)
        except Rejection as error:
            return OrderRefused(str(error), by_exchange=True)
        if lost:
            return OutcomeUnknown("lost")
        there = result.order
        return CreateAccepted(there.order_id, there.filled_e2, there.remaining_e2, 1)

    def amended(self, request: SendAmend, *, lost: bool) -> OrderFact:
        amend, order = request.amend, request.order
        leg = YES if order.book_side is BookSide.BID else 1 - YES
        price_e4 = amend.yes_price_e4 if leg == YES else 10_000 - amend.yes_price_e4
        asked = Amendment(ticker=AT_CORE, leg=leg, leg_price_e4=price_e4, count_e2=amend.total_e2)
        try:
            result = self.core.order_entry.amend(self.core.accounts[0], order.order_id or "", asked)
        except Rejection as error:
            there = self.at_core(order)
            if there is not None and there.status is not OrderState.RESTING:
                self.rig.state.on_order(self.shown(there))  # looked up before it is answered
            return AmendRefused(amend, str(error))
        if lost:
            return AmendUnknown(amend)
        return AmendAccepted(amend, result.ts_ms, result.order.remaining_e2, 1)

    def canceled(self, order: TrackedOrder) -> None:
        name, there = order.client_order_id, self.at_core(order)
        with suppress(Rejection):  # it has ended: what it came to is read below
            self.core.order_entry.cancel(self.core.accounts[0], order.order_id or "")
        if there is not None:
            report = OrderReport(there.order_id, STATUS[there.status], there.filled_e2)
            self.answers.append((name, report))

    def look_up(self, order: TrackedOrder) -> None:
        there = self.at_core(order)
        if there is None:
            self.rig.state.on_fact(order.client_order_id, OrderRefused("never_arrived"))
            return
        self.rig.state.on_order(self.shown(there))
        now = self.rig.state.orders.get(order.client_order_id)
        if now is not None and now.amend is not None and now.amend.is_unknown:
            amend, left_e2 = now.amend, there.remaining_e2
            shown = (there.yes_price_e4, there.filled_e2 + left_e2)
            fact: OrderFact = AmendRefused(amend, "unknown", is_inferred=True)
            if there.status is OrderState.RESTING and shown == (amend.yes_price_e4, amend.total_e2):
                fact = AmendAccepted(amend, there.updated_ms, left_e2)
            self.rig.state.on_fact(order.client_order_id, fact)

    # What may happen.

    @rule(
        price_e4=PRICES,
        count_e2=COUNTS,
        leg=st.sampled_from(list(Leg)),
        is_buy=st.sampled_from([True, True, False]),
    )
    def decide(self, price_e4: int, count_e2: int, leg: Leg, is_buy: bool) -> None:
        name = f"i{next(self.names)}"
        self.wanted.add(name)
        wanted = intent(name, leg=leg, is_buy=is_buy, yes_price_e4=price_e4, count_e2=count_e2)
        for _ in range(2):  # the same intent twice is one
            self.rig.manager.on_intent(wanted, self.rig.mono_ns)
        self.collect()

    @precondition(lambda self: self.wire)
    @rule(data=st.data(), lost=st.booleans())
    def arrives(self, data: st.DataObject, lost: bool) -> None:
        self.carry_out(self.wire.pop(data.draw(st.integers(0, len(self.wire) - 1))), lost=lost)

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def answered(self, data: st.DataObject) -> None:
        self.answer(data.draw(st.integers(0, len(self.answers) - 1)))

    def answer(self, at: int) -> None:
        name, fact = self.answers.pop(at)
        self.rig.state.on_fact(name, fact)
        if isinstance(fact, AmendUnknown | OutcomeUnknown):
            self.wire.append(LookUpOrder(self.tracked(name)))
        self.collect()

    def tracked(self, name: str) -> TrackedOrder:
        found = self.rig.state.orders.get(name)
        assert found is not None
        return found

    @precondition(lambda self: self.reports)
    @rule(data=st.data(), again=st.booleans())
    def reported(self, data: st.DataObject, again: bool) -> None:
        at = data.draw(st.integers(0, len(self.reports) - 1))
        self.hear(self.reports[at] if again else self.reports.pop(at))

    def hear(self, report: ExchangeOrder | ActorFill) -> None:
        if isinstance(report, ActorFill):
            self.rig.state.on_fill(report)
        else:
            self.rig.state.on_order(report)
        self.collect()

    @rule(price_e4=PRICES, count_e2=COUNTS, buys=st.booleans())
    def other_trades(self, price_e4: int, count_e2: int, buys: bool) -> None:
        self.core.now_ms += 1
        made = (bid if buys else ask)(price_e4, count_e2)
        self.core.order_entry.create(self.core.accounts[1], made)
        self.collect()

    @rule()
    def all_arrives(self) -> None:
        """So that the next decision finds orders at rest."""
        for _ in range(50):
            self.collect()
            if self.wire:
                self.carry_out(self.wire.pop(0), lost=False)
            elif self.answers:
                self.answer(0)
            elif self.reports:
                self.hear(self.reports.pop(0))
            else:
                return

    @rule()
    def time_passes(self) -> None:
        self.rig.after(0.6).manager.tick()
        self.collect()

    # What always holds.

    def at_exchange(self) -> tuple[int, int]:
        """(position, its cost) by the exchange's own count."""
        position = self.core.accounts[0].position(AT_CORE)
        return position.count_e2, position.cost_e6

    @invariant()
    def the_exchange_never_has_more_than_the_limit(self) -> None:
        resting = [o for o in self.ours() if o.status is OrderState.RESTING]
        orders = [RestingOrder(side_at(o), o.yes_price_e4, o.remaining_e2) for o in resting]
        risk = market_risk(*self.at_exchange(), orders, FeeBound((NO_FEES,)))
        assert risk.exposure_e6 <= LIMIT_E6

    @invariant()
    def no_intent_is_two_orders(self) -> None:
        names = [o.client_order_id for o in self.ours()]
        assert len(names) == len(set(names))
        made = {name.split("-")[1] for name in names}
        amended = {o.amended_by for o in self.rig.state.orders.open_orders()}
        assert made <= self.wanted
        assert not made & amended

    @invariant()
    def two_of_ours_at_most_and_sales_are_held(self) -> None:
        resting = [o for o in self.ours() if o.status is OrderState.RESTING]
        assert len(resting) <= 2
        held_e2, _ = self.at_exchange()
        for side, limit_e2 in ((BookSide.ASK, held_e2), (BookSide.BID, -held_e2)):
            codes = ("SY", "SN")
            sales = [o for o in resting if o.client_order_id[-2:] in codes and side_at(o) is side]
            assert sum(o.remaining_e2 for o in sales) <= max(limit_e2, 0)

    def teardown(self) -> None:
        """Everything arrives in the end: then both sides agree."""
        for _ in range(20):
            self.all_arrives()
        assert (self.wire, self.answers, self.reports) == ([], [], [])
        ours = {
            (o.order_id, o.yes_price_e4, o.remaining_e2, o.fill_e2)
            for o in self.rig.state.orders.open_orders()
        }
        theirs = {
            (o.order_id, o.yes_price_e4, o.remaining_e2, o.filled_e2)
            for o in self.ours()
            if o.status is OrderState.RESTING
        }
        assert ours == theirs
        assert self.rig.state.accounts[TICKER].position_e2 == self.at_exchange()[0]


TestTrading = Trading.TestCase
TestTrading.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
