"""The money of the exchange's accounts: cash, positions, holds for resting orders, settlement.

Every shard of the exchange has collateral of its own: an account has cash on each, and a market
takes from and pays into the collateral of its shard only (PROTOCOL 6.5).

One signed position per market: contracts of the other outcome net against what is held and every
pair pays its dollar at once. Always, to the micro-dollar:

    cash = start + moved + realized - fees - cost basis, over all markets, settled ones included,
           + what mutually exclusive markets have returned (`core.collateral_return`).

A resting order holds what its fill would cost. Over a market's bids the worst that can happen is
that all of them fill: they cost sum(price x count), and each contract that nets a held one of the
other outcome returns a dollar. So hold = max(0, sum(price x count) - min(netting, count) dollars),
for bids and asks alike, whatever the order in which they fill.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from ipc.units import ONE_DOLLAR_E4
from processes.exchange.core.books import NO, YES
from processes.exchange.core.rejections import Rejection, not_found

__all__ = [
    "MAX_SHARD",
    "MOST_SUBACCOUNTS",
    "LedgerPosition",
    "LedgerSettlement",
    "Member",
    "ShardCollateral",
    "TradingAccount",
    "Transfer",
    "Transfers",
    "hold_e6",
    "payout",
]

CENT_E6: Final = 10_000


def hold_e6(held_e2: int, orders: Iterable[tuple[int, int]]) -> int:
    """What resting orders of one side hold, 1e-6 dollars.

    Args:
        held_e2: Contracts of the other outcome, which these orders would net.
        orders: (price of the leg 1e-4 dollars, contracts 1e-2) of each.
    """
    cost_e6 = count_e2 = 0
    for price_e4, remaining_e2 in orders:
        cost_e6 += price_e4 * remaining_e2
        count_e2 += remaining_e2
    return max(0, cost_e6 - min(max(held_e2, 0), count_e2) * ONE_DOLLAR_E4)


def payout(count_e2: int, yes_value_e4: int) -> tuple[int, int]:
    """What a position is paid at a market's value.

    A dollar a contract, or nothing, is paid to the last hundredth; a value in between in whole
    cents (PROTOCOL 7).

    Args:
        count_e2: The position, YES positive.
        yes_value_e4: What a YES contract pays.

    Returns:
        What is paid, and what was cut off of it; 1e-6 dollars both.
    """
    value_e4 = yes_value_e4 if count_e2 >= 0 else ONE_DOLLAR_E4 - yes_value_e4
    whole_e6 = abs(count_e2) * value_e4
    cut_e6 = 0 if value_e4 in (0, ONE_DOLLAR_E4) else whole_e6 % CENT_E6
    return whole_e6 - cut_e6, cut_e6


class LedgerSettlement(msgspec.Struct, frozen=True):
    """One market's end for one account."""

    ticker: str
    event_ticker: str
    result: str
    yes_value_e4: int
    position_e2: int
    cost_e6: int
    revenue_e6: int
    fees_e6: int
    settled_ms: int
    exchange_index: int
    subaccount: int


class LedgerPosition:
    """One account in one market."""

    def __init__(self) -> None:
        self.count_e2 = 0  # signed, YES positive
        self.cost_e6 = 0
        self.realized_e6 = 0
        self.fees_e6 = 0
        self.volume_e2 = 0
        self.traded_e6 = 0
        self.updated_ms = 0
        self.settled = False

    def held_e2(self, leg: int) -> int:
        """Contracts held of a leg."""
        return max(self.count_e2 if leg == YES else -self.count_e2, 0)

    def cash_flow_e6(self, leg: int, price_e4: int, count_e2: int) -> int:
        """What a purchase does to cash before fees: netting pays, opening costs.

        Args:
            leg: What is bought.
            price_e4: Of that leg.
            count_e2: Contracts.
        """
        netting = min(self.held_e2(1 - leg), count_e2)
        return netting * (ONE_DOLLAR_E4 - price_e4) - (count_e2 - netting) * price_e4

    def buy(self, leg: int, price_e4: int, count_e2: int, fee_e6: int, now_ms: int) -> int:
        """Book a purchase of a leg; selling is buying the other one.

        Returns:
            The change of cash, fee included, 1e-6 dollars.
        """
        self.settled = False  # a market listed again under its ticker settles again
        flow_e6 = self.cash_flow_e6(leg, price_e4, count_e2)
        netting = min(self.held_e2(1 - leg), count_e2)
        if netting:
            basis = self.cost_e6 * netting // abs(self.count_e2)
            self.cost_e6 -= basis
            self.realized_e6 += netting * (ONE_DOLLAR_E4 - price_e4) - basis
        self.cost_e6 += (count_e2 - netting) * price_e4
        self.count_e2 += count_e2 if leg == YES else -count_e2
        self.fees_e6 += fee_e6
        self.volume_e2 += count_e2
        self.traded_e6 += price_e4 * count_e2
        self.updated_ms = now_ms
        return flow_e6 - fee_e6

    def settle(self, yes_value_e4: int, now_ms: int) -> int:
        """Pay out at the market's value -> what was paid; what was cut off of it is a fee."""
        paid_e6, cut_e6 = payout(self.count_e2, yes_value_e4)
        self.realized_e6 += paid_e6 + cut_e6 - self.cost_e6
        self.fees_e6 += cut_e6
        self.count_e2 = self.cost_e6 = 0
        self.updated_ms, self.settled = now_ms, True
        return paid_e6


class ShardCollateral:
    """One account's money on one shard: what it has and what its resting orders hold."""

    def __init__(self, cash_e6: int = 0) -> None:
        self.cash_e6 = cash_e6
        self._holds: dict[str, int] = {}

    @property
    def held_e6(self) -> int:
        """What resting orders hold, all markets."""
        return sum(self._holds.values())

    @property
    def available_e6(self) -> int:
        """What a new order may use; the exchange calls it the balance."""
        return self.cash_e6 - self.held_e6

    def hold(self, ticker: str, amount_e6: int) -> None:
        """Set what a market's resting orders hold."""
        if amount_e6:
            self._holds[ticker] = amount_e6
        else:
            self._holds.pop(ticker, None)

    def available_beside(self, ticker: str) -> int:
        """Cash that no other market's orders hold."""
        return self.available_e6 + self._holds.get(ticker, 0)


class TradingAccount:
    """Collateral by shard, positions by market. It starts with all its cash on shard 0.

    Args:
        user_id: Whose it is.
        start_cash_e6: 1e-6 dollars.
        number: 0 for the user's primary account, from 1 for subaccounts.

    Attributes:
        moved_e6: What came from other accounts, less what went there.
        collaterals: By shard.
        returned_e6: What mutually exclusive markets have returned, by event.
        positions: By ticker, settled ones too.
        settlements: In the order of payment.
    """

    def __init__(self, user_id: str, start_cash_e6: int, number: int = 0) -> None:
        self.user_id = user_id
        self.number = number
        self.start_cash_e6 = start_cash_e6
        self.moved_e6 = 0  # from other accounts, less what went there
        self.collaterals = {0: ShardCollateral(start_cash_e6)}
        self.returned_e6: dict[str, int] = {}  # by event, of mutually exclusive markets
        self.positions: dict[str, LedgerPosition] = {}
        self.settlements: list[LedgerSettlement] = []

    @property
    def key(self) -> tuple[str, int]:
        """Which account this is."""
        return self.user_id, self.number

    def collateral(self, shard: int) -> ShardCollateral:
        """The collateral on a shard; an empty one is created on first use."""
        return self.collaterals.setdefault(shard, ShardCollateral())

    def position(self, ticker: str) -> LedgerPosition:
        """The position in a market; an empty one is created on first use."""
        return self.positions.setdefault(ticker, LedgerPosition())

    @property
    def cash_e6(self) -> int:
        """All shards' cash."""
        return sum(p.cash_e6 for p in self.collaterals.values())

    @property
    def held_e6(self) -> int:
        """What resting orders hold on all shards."""
        return sum(p.held_e6 for p in self.collaterals.values())

    @property
    def available_e6(self) -> int:
        """What new orders may use, if it lay on their shards."""
        return self.cash_e6 - self.held_e6

    def hold_for(
        self, ticker: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
    ) -> int:
        """What these orders of one market would hold: (leg price, count), bids buy YES, asks NO."""
        position = self.positions.get(ticker) or LedgerPosition()
        return hold_e6(position.held_e2(NO), bids) + hold_e6(position.held_e2(YES), asks)

    def correct(
        self, ticker: str, result: str, yes_value_e4: int, now_ms: int
    ) -> LedgerSettlement | None:
        """Pay the difference between the result that was paid and the right one.

        Args:
            ticker: The market.
            result: The right one.
            yes_value_e4: What a YES contract pays, 1e-4 dollars.
            now_ms: Market time.

        Returns:
            The settlement as it stands now; None for an account without one.
        """
        paid = next((s for s in self.settlements if s.ticker == ticker), None)
        if paid is None:
            return None
        revenue_e6, cut_e6 = payout(paid.position_e2, yes_value_e4)
        change_e6 = revenue_e6 - paid.revenue_e6
        cut_before_e6 = payout(paid.position_e2, paid.yes_value_e4)[1]
        position = self.position(ticker)
        position.realized_e6 += change_e6 + cut_e6 - cut_before_e6
        position.fees_e6 += cut_e6 - cut_before_e6
        position.updated_ms = now_ms
        self.collateral(paid.exchange_index).cash_e6 += change_e6
        now = msgspec.structs.replace(
            paid,
            result=result,
            yes_value_e4=yes_value_e4,
            revenue_e6=revenue_e6,
            fees_e6=position.fees_e6,
            settled_ms=now_ms,
        )
        self.settlements[self.settlements.index(paid)] = now
        return now

    def settle(
        self,
        ticker: str,
        event_ticker: str,
        result: str,
        yes_value_e4: int,
        now_ms: int,
        shard: int = 0,
    ) -> LedgerSettlement | None:
        """Pay out a market.

        Args:
            ticker: The market.
            event_ticker: Its event.
            result: Such as `yes`.
            yes_value_e4: What a YES contract pays, 1e-4 dollars.
            now_ms: Market time.
            shard: The market's.

        Returns:
            What was paid; None when the account never traded in it, or when it has been paid
            already.
        """
        position = self.positions.get(ticker)
        if position is None or position.settled:
            return None
        count_e2, cost_e6 = position.count_e2, position.cost_e6
        revenue_e6 = position.settle(yes_value_e4, now_ms)
        self.collateral(shard).cash_e6 += revenue_e6
        done = LedgerSettlement(
            ticker=ticker,
            event_ticker=event_ticker,
            result=result,
            yes_value_e4=yes_value_e4,
            position_e2=count_e2,
            cost_e6=cost_e6,
            revenue_e6=revenue_e6,
            fees_e6=position.fees_e6,
            settled_ms=now_ms,
            exchange_index=shard,
            subaccount=self.number,
        )
        if count_e2:
            self.settlements.append(done)
        return done


MOST_SUBACCOUNTS: Final = 63


class Member:
    """One user. `netting`: the accounts that ask for collateral back across an event's markets."""

    def __init__(self, primary: TradingAccount) -> None:
        self.user_id = primary.user_id
        self.accounts = {primary.number: primary}
        self.netting: set[int] = set()

    def account(self, number: int) -> TradingAccount:
        """The account of a number; `Rejection` when there is none."""
        account = self.accounts.get(number)
        if account is None:
            raise Rejection.nested(404, "subaccount_not_found")
        return account

    def open(self) -> TradingAccount:
        """A new account, without money, under the next number; `Rejection` when there are all."""
        number = len(self.accounts)
        if number > MOST_SUBACCOUNTS:
            raise Rejection.nested(400, "too_many_subaccounts")
        self.accounts[number] = made = TradingAccount(self.user_id, 0, number)
        return made


MAX_SHARD: Final = 100
KEPT: Final = 10_000  # of one user; older ones are forgotten, with their ids
PERCENT: Final = 100


class Transfer(msgspec.Struct, frozen=True):
    """One transfer; it is complete at once. `source` and `destination` are shards."""

    transfer_id: str
    client_transfer_id: str
    source: int
    destination: int
    amount_e6: int
    created_ms: int
    from_account: int = 0
    to_account: int = 0
    number: int = 0  # its place among all transfers

    @property
    def is_between_accounts(self) -> bool:
        """Whether the money stays on its shard; else it is a transfer between shards."""
        return self.source == self.destination

    def repeats(self, earlier: Transfer) -> bool:
        """Whether this is the same request again, by the id that the client gave it."""
        return (
            bool(self.client_transfer_id)
            and self.client_transfer_id == earlier.client_transfer_id
            and self.is_between_accounts == earlier.is_between_accounts
            and (self.is_between_accounts or self.source == earlier.source)
        )


class Transfers:
    """Of all users."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._numbers = 0
        self._done: dict[str, deque[Transfer]] = {}
        self._targets: dict[str, dict[int, int]] = {}
        self.reservations: dict[str, str] = {}  # by user: kept for resting orders, and shown

    def move(self, member: Member, asked: Transfer) -> Transfer:
        """Move free collateral between a user's accounts or shards.

        Args:
            member: The user.
            asked: Without an id of the exchange's.

        Returns:
            The transfer with its id.

        Raises:
            Rejection: 409 `transfer_already_applied` for a client id that was used before; 400
                `invalid_parameters`, `insufficient_balance`; 404 `subaccount_not_found`.
        """
        source_account = member.account(asked.from_account)
        destination_account = member.account(asked.to_account)
        done = self._done.setdefault(member.user_id, deque(maxlen=KEPT))
        if any(asked.repeats(earlier) for earlier in done):
            raise Rejection.nested(409, "transfer_already_applied")
        if asked.amount_e6 <= 0:
            raise Rejection.nested(400, "invalid_parameters", "amount must be positive")
        if asked.is_between_accounts and source_account is destination_account:
            raise Rejection.nested(400, "invalid_parameters", "source and destination are the same")
        source = source_account.collateral(asked.source)
        if source.available_e6 < asked.amount_e6:
            raise Rejection.nested(400, "insufficient_balance")
        source.cash_e6 -= asked.amount_e6
        source_account.moved_e6 -= asked.amount_e6
        destination_account.collateral(asked.destination).cash_e6 += asked.amount_e6
        destination_account.moved_e6 += asked.amount_e6
        self._numbers += 1
        made = msgspec.structs.replace(asked, transfer_id=self._new_id(), number=self._numbers)
        done.append(made)
        return made

    def of(self, member: Member, *, between_accounts: bool = False) -> list[Transfer]:
        """A user's transfers between shards, or those between accounts; newest first."""
        done = reversed(self._done.get(member.user_id, ()))
        return [t for t in done if t.is_between_accounts == between_accounts]

    def get(self, member: Member, transfer_id: str) -> Transfer:
        """One of those between shards; `Rejection` when there is none."""
        for transfer in self.of(member):
            if transfer.transfer_id == transfer_id:
                return transfer
        raise not_found()

    # Target allocation

    def targets(self, member: Member) -> dict[int, int]:
        """Percent by shard, nothing when money stays where it is."""
        return self._targets.get(member.user_id, {})

    def aim(self, member: Member, percents: dict[int, int]) -> None:
        """Keep the primary account's free money spread over shards.

        Args:
            member: The user.
            percents: By shard, 100 together; empty ends it.

        Raises:
            Rejection: 400 `invalid_parameters` for another total.
        """
        if percents and sum(percents.values()) != PERCENT:
            raise Rejection.nested(400, "invalid_parameters", "percentages must total 100")
        self._targets[member.user_id] = percents

    def rebalance(self, member: Member) -> None:
        """Spread free money as aimed; the cut of a cent stays on the first shard of the aim."""
        targets, account = self.targets(member), member.account(0)
        if not targets:
            return
        free = {i: account.collateral(i).available_e6 for i in {*targets, *account.collaterals}}
        total = sum(free.values())
        wanted = {i: total * targets.get(i, 0) // PERCENT for i in free}
        first = next(iter(targets))
        wanted[first] += total - sum(wanted.values())
        for index, amount_e6 in free.items():
            account.collateral(index).cash_e6 += wanted[index] - amount_e6
