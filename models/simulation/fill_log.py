"""What became of simulated orders, row by row: arrived, rested, filled as taker or as maker.

The kernels of `fills.py` write it in the order in which things happen, so the maker fills after a
RESTED row are of that order until the next ARRIVED one. Prices are of YES.
"""

from __future__ import annotations

from typing import Any, Final

from models.kernel import kernel

__all__ = [
    "AHEAD_E2",
    "ARRIVED",
    "AT_NS",
    "COUNT_E2",
    "EVENT",
    "FEE_E6",
    "KIND",
    "LOG_WORDS",
    "MAKER",
    "ORDER_ACTION",
    "PRICE_E4",
    "RESTED",
    "TAKER",
    "write_log",
]

# Values of KIND.
ARRIVED: Final = 1
RESTED: Final = 2
TAKER: Final = 3
MAKER: Final = 4

# Words of a row.
KIND: Final = 0
EVENT: Final = 1  # index into the world's events; those before it had passed
AT_NS: Final = 2  # market time
ORDER_ACTION: Final = 3
PRICE_E4: Final = 4  # asked for, or filled at
COUNT_E2: Final = 5  # ordered, left to rest, or filled
FEE_E6: Final = 6  # of TAKER and MAKER
AHEAD_E2: Final = 6  # of RESTED: contracts that trade before ours
LOG_WORDS: Final = 7


@kernel
def write_log(
    log: Any,
    at: int,
    kind: int,
    event: int,
    at_ns: int,
    action: int,
    price_e4: int,
    count_e2: int,
    more: int,
) -> None:
    """Write row `at`; nothing beyond the end of the log."""
    if at < len(log):
        row = log[at]
        row[KIND], row[EVENT], row[AT_NS], row[ORDER_ACTION] = kind, event, at_ns, action
        row[PRICE_E4], row[COUNT_E2], row[FEE_E6] = price_e4, count_e2, more
