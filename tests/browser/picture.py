"""Takes the picture of the dashboard in the docs, from made-up data.

From the root of the checkout: `PYTHONPATH=tests .venv/bin/python -m browser.picture FILE`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from support import synthetic_stack as made
from support.broadcaster import broadcasting
from support.chromium import browsing
from support.synthetic_market import CASH_E6, SyntheticMarket
from support.synthetic_stack import SyntheticStack

from ipc.clock import MarketClockWriter
from ipc.messages import ProcessStats

__all__ = ["take"]

SECONDS = 420
MARKETS = (
    ("KXBTC15M-26AUG060730-30", 4_700),
    ("KXETH15M-26AUG060730-30", 6_200),
    ("KXGOLD15M-26AUG060730-30", 3_100),
)
COUNTERS = {
    "collector": {"frames": 311, "deltas": 288, "trades": 21, "gaps": 0, "refused": 0},
    "inference": {"ticks": 3, "decisions": 3, "intents": 1, "missed_ticks": 0},
    "execution": {"intents": 1, "orders": 1, "fills": 1, "rejected": 0},
    "recorder": {"rows": 316, "commits": 4, "lag_records": 0},
}


def tell(stack: SyntheticStack, markets: list[SyntheticMarket], second: int) -> None:
    """What comes once a second besides the markets themselves."""
    stack.beat()
    for name, counters in COUNTERS.items():
        counted = {k: v * second for k, v in counters.items()}
        stack.send(name, "stats", ProcessStats(process=name, mono_ns=1, counters=counted))
    stack.send("inference", "models", made.models())
    stack.send("collector", "session", made.session([ticker for ticker, _ in MARKETS]))
    held = [market.portfolio for market in markets]
    stack.send(
        "execution",
        "pnl",
        made.pnl(
            balance_e6=1_000_000_000 + sum(p.cash_e6 - CASH_E6 for p in held),
            realized_e6=sum(p.realized_e6 for p in held),
            fees_e6=sum(p.fees_e6 for p in held),
            positions=sum(p.position_e2 != 0 for p in held),
            open_orders=sum(market.open_orders for market in markets),
            account_version=second,
            ts_ns=markets[0].now_ns,
        ),
    )


async def take(file: Path, folder: Path) -> list[str]:
    """Write the picture; the browser's complaints."""
    clock = MarketClockWriter(folder / "data" / "exchange" / "clock")
    stack = SyntheticStack(folder / "data")
    markets = [
        SyntheticMarket(stack, ticker, bid_e4, seed)
        for seed, (ticker, bid_e4) in enumerate(MARKETS, start=3)
    ]
    try:
        async with broadcasting(stack.data_dir) as (_, address), browsing(folder / "web") as tab:
            await tab.open(address)
            await tab.wait_for("document.querySelector('[data-testid=link]')?.innerText === 'LIVE'")
            for second in range(1, SECONDS):
                for market in markets:
                    market.step()
                clock.announce(markets[0].now_ns, 0)
                tell(stack, markets, second)
                await asyncio.sleep(0.03)
            await tab.wait_for("document.querySelectorAll('[data-testid=alarms] li').length === 0")
            await asyncio.sleep(1.5)  # seconds for the counters of the last second to be shown
            await tab.picture(file)
            return tab.complaints
    finally:
        stack.close()
        clock.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        complaints = asyncio.run(take(Path(sys.argv[1]), Path(temporary)))
    sys.exit("\n".join(complaints) or 0)
