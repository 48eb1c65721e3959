"""What the exchange's REST says against what we hold: agree, wait, read more, adopt, or doubt.

REST reads lag: positions follow fills by about a second. So a difference counts only when the
market has been quiet for `QUIET_NS`, and ours gives way only when the exchange's own list of fills
adds up to the exchange's position, twice in a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from ipc.messages import ActorFill
from processes.adapters.kalshi.normalise import ExchangeOrder
from processes.adapters.kalshi.schemas.decoding import LeftOut
from processes.execution.account import Doubt, MarketAccount, position_of

__all__ = ["ADOPT_VOTES", "QUIET_NS", "ExchangeView", "Verdict", "judge"]

QUIET_NS: Final = 2_000_000_000
ADOPT_VOTES: Final = 2


class ExchangeView(msgspec.Struct, frozen=True):
    """One round of reads, begun at `asked_mono_ns`.

    `positions` lacks flat and settled markets; `fills` holds the whole history of its markets,
    oldest first, and only of those that were asked for; `settlements` the value of YES by market.
    A market that `left_out` concerns is not known: rows about it could not be read.
    """

    asked_mono_ns: int
    positions: Mapping[str, int]
    resting: Sequence[ExchangeOrder]
    fills: Mapping[str, Sequence[ActorFill]]
    settlements: Mapping[str, int]
    left_out: LeftOut = LeftOut()


class Verdict(StrEnum):
    """What a comparison of one market comes to."""

    AGREES = "agrees"
    UNREADABLE = "unreadable"  # rows about it were left out
    UNDECIDED = "undecided"  # too fresh to tell
    READ_FILLS = "read_fills"
    ADOPT = "adopt"  # the exchange agrees with itself and not with us
    DISAGREES = "disagrees"


def judge(account: MarketAccount, view: ExchangeView) -> Verdict:
    """Compare one market with a view whose orders, fills and settlements were told already."""
    if view.left_out.concerns(account.ticker):
        return Verdict.UNREADABLE
    told_e2 = view.positions.get(account.ticker, 0)
    fills = view.fills.get(account.ticker)
    if fills is None and account.doubts & {Doubt.STARTING, Doubt.CHANNEL}:
        return Verdict.READ_FILLS  # something may have happened that nobody told us
    if told_e2 == account.position_e2:
        return Verdict.AGREES
    if view.asked_mono_ns - account.changed_mono_ns < QUIET_NS:
        return Verdict.UNDECIDED
    if fills is None:
        return Verdict.READ_FILLS
    if account.settled_e4 is None and position_of(fills) == told_e2:
        return Verdict.ADOPT
    return Verdict.DISAGREES
