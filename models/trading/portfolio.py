"""Cash, position, cost basis, P&L: the one accounting, live and simulated.

A market's sub-account is an int64 vector in the layout of `ipc.account_table`. The exchange holds
one signed position per market: contracts of the other outcome net against what is held and every
pair pays its dollar at once. So a fill is a buy or a sale of YES: on the YES book's bid side the
position rises, on its ask side it falls. Always, to the micro-dollar:

    cash = start + realized - fees - cost basis
"""

from __future__ import annotations

from ipc import account_table as a
from ipc.kernels import kernel
from ipc.messages import BookSide
from ipc.units import ASK, BID, ONE_DOLLAR_E4, SideCode

__all__ = [
    "Portfolio",
    "apply_fill",
    "apply_payout",
    "apply_settlement",
    "cash_flow_e6",
    "liquidation_value_e6",
]


@kernel
def _closing_e2(position_e2: int, side: SideCode, count_e2: int) -> int:
    """How much of a fill closes what is held; the rest opens."""
    held_e2 = -position_e2 if side == BID else position_e2
    return int(min(max(held_e2, 0), count_e2))


@kernel
def cash_flow_e6(position_e2: int, side: SideCode, yes_price_e4: int, count_e2: int) -> int:
    """What a fill does to cash before fees.

    Args:
        position_e2: Position before it, YES positive.
        side: `BID` raises the position, `ASK` lowers it.
        yes_price_e4: Price on the YES scale.
        count_e2: Contracts filled.

    Returns:
        Micro-dollars: opening costs its leg's price, closing pays it.
    """
    closing_e2 = _closing_e2(position_e2, side, count_e2)
    cost_e4 = yes_price_e4 if side == BID else ONE_DOLLAR_E4 - yes_price_e4
    return int(closing_e2 * (ONE_DOLLAR_E4 - cost_e4) - (count_e2 - closing_e2) * cost_e4)


@kernel
def apply_fill(
    account: a.AccountRow, side: SideCode, yes_price_e4: int, count_e2: int, fee_e6: int
) -> None:
    """Book one fill: it nets first, and what is left opens at its own cost.

    Args:
        account: The sub-account, changed in place.
        side: `BID` raises the position, `ASK` lowers it.
        yes_price_e4: Price on the YES scale.
        count_e2: Contracts filled.
        fee_e6: What was charged, micro-dollars.
    """
    position_e2 = account[a.POSITION_E2]
    closing_e2 = _closing_e2(position_e2, side, count_e2)
    account[a.CASH_E6] += cash_flow_e6(position_e2, side, yes_price_e4, count_e2) - fee_e6
    account[a.FEES_E6] += fee_e6
    cost_e4 = yes_price_e4 if side == BID else ONE_DOLLAR_E4 - yes_price_e4
    if closing_e2 > 0:
        basis_e6 = account[a.COST_BASIS_E6] * closing_e2 // abs(position_e2)
        account[a.COST_BASIS_E6] -= basis_e6
        account[a.REALIZED_E6] += closing_e2 * (ONE_DOLLAR_E4 - cost_e4) - basis_e6
    account[a.COST_BASIS_E6] += (count_e2 - closing_e2) * cost_e4
    account[a.POSITION_E2] = position_e2 + (count_e2 if side == BID else -count_e2)


@kernel
def apply_payout(account: a.AccountRow, payout_e6: int) -> None:
    """Close the position for what was paid for it, without a fee.

    Args:
        account: The sub-account, changed in place: flat afterwards.
        payout_e6: What the whole position was paid, micro-dollars.
    """
    account[a.CASH_E6] += payout_e6
    account[a.REALIZED_E6] += payout_e6 - account[a.COST_BASIS_E6]
    account[a.COST_BASIS_E6] = account[a.POSITION_E2] = 0


@kernel
def apply_settlement(account: a.AccountRow, yes_value_e4: int) -> int:
    """Pay out the position at the market's result, without a fee.

    Args:
        account: The sub-account, changed in place: flat afterwards.
        yes_value_e4: What a YES contract paid, 0 to 10000.

    Returns:
        The payout in micro-dollars.
    """
    position_e2 = account[a.POSITION_E2]
    value_e4 = yes_value_e4 if position_e2 >= 0 else ONE_DOLLAR_E4 - yes_value_e4
    payout_e6 = abs(position_e2) * value_e4
    apply_payout(account, payout_e6)
    return int(payout_e6)


@kernel
def liquidation_value_e6(
    account: a.AccountRow, yes_bid_e4: int, no_bid_e4: int, fee_e6: int
) -> int:
    """Cash plus what the position would bring now.

    Args:
        account: The sub-account.
        yes_bid_e4: Best bid of YES, 0 when there is none.
        no_bid_e4: Best bid of NO, 0 when there is none.
        fee_e6: Fee of closing the position.

    Returns:
        Micro-dollars; a position without a bid is worth nothing.
    """
    position_e2 = account[a.POSITION_E2]
    bid_e4 = yes_bid_e4 if position_e2 > 0 else no_bid_e4
    return int(account[a.CASH_E6] + abs(position_e2) * bid_e4 - fee_e6)


class Portfolio:
    """One market's sub-account: cash, position, cost basis, profit and loss.

    Args:
        start_cash_e6: Cash it begins with, micro-dollars.

    Attributes:
        row: int64 in the layout of `ipc.account_table`; what the table and the observation read.
    """

    def __init__(self, start_cash_e6: int) -> None:
        self.row = a.new_account(start_cash_e6)

    def fill(self, side: BookSide, yes_price_e4: int, count_e2: int, fee_e6: int) -> None:
        """Book one fill; it nets first, and what is left opens at its own cost.

        Args:
            side: `BID` raises the position, `ASK` lowers it.
            yes_price_e4: Price on the YES scale.
            count_e2: Contracts filled.
            fee_e6: What was charged, micro-dollars; negative when the exchange paid.
        """
        apply_fill(self.row, BID if side is BookSide.BID else ASK, yes_price_e4, count_e2, fee_e6)

    def settle(self, yes_value_e4: int) -> int:
        """Pay out at the market's result; the position is flat afterwards.

        Args:
            yes_value_e4: 10000 for YES, 0 for NO, between for a scalar market.

        Returns:
            The payout in micro-dollars.
        """
        return int(apply_settlement(self.row, yes_value_e4))

    def pay_out(self, payout_e6: int) -> None:
        """Close the position for what the exchange paid for it, micro-dollars."""
        apply_payout(self.row, payout_e6)

    def open(self, position_e2: int, cost_basis_e6: int) -> None:
        """Begin with a position whose fills are not known.

        Args:
            position_e2: 1e-2 contracts, YES positive.
            cost_basis_e6: What it cost, micro-dollars; taken from the cash.
        """
        self.row[a.POSITION_E2], self.row[a.COST_BASIS_E6] = position_e2, cost_basis_e6
        self.row[a.CASH_E6] -= cost_basis_e6

    @property
    def cash_e6(self) -> int:
        """Cash before any hold for resting orders, micro-dollars."""
        return int(self.row[a.CASH_E6])

    @property
    def position_e2(self) -> int:
        """Signed position in 1e-2 contracts, YES positive."""
        return int(self.row[a.POSITION_E2])

    @property
    def cost_basis_e6(self) -> int:
        """What the present position cost without fees, micro-dollars."""
        return int(self.row[a.COST_BASIS_E6])

    @property
    def realized_e6(self) -> int:
        """Closed profit and loss without fees, micro-dollars."""
        return int(self.row[a.REALIZED_E6])

    @property
    def fees_e6(self) -> int:
        """Fees paid, micro-dollars."""
        return int(self.row[a.FEES_E6])
