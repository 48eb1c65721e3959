"""The collector as a process: fees and programs of what it follows, from a real exchange."""

from __future__ import annotations

from pathlib import Path

from support.exchange import running_exchange
from support.running_collector import RunningCollector, running_collector

from ipc.messages import MarketTerms, ProgramListed
from models.trading.known_fees import series_of
from processes.exchange.synthetic.flow import SERIES_FEES

MARKETS = 5


def terms(collector: RunningCollector) -> dict[str, MarketTerms]:
    """The last word on each market's fees."""
    return {m.market_ticker: m for m in collector.messages() if isinstance(m, MarketTerms)}


async def test_fees_and_programs_of_every_followed_market_are_journalled(tmp_path: Path) -> None:
    with (
        running_exchange(tmp_path, RL_EXCHANGE_MARKETS=str(MARKETS)) as exchange,
        running_collector(tmp_path, exchange.port) as collector,
    ):
        found = await collector.until(
            lambda: t if len(t := terms(collector)) == MARKETS else None,
            "fees of every market",
        )
        by_number = {int(series_of(t).removeprefix("KXSIM")[0]): t for t in found}
        for number, ticker in sorted(by_number.items()):
            assert found[ticker].fees[0][1:] == SERIES_FEES[number - 1]
        changed = found[by_number[1]].fees
        announced = exchange.get("/series/fee_changes")["series_fee_change_arr"]
        assert [step[1] for step in changed] == ["quadratic", announced[0]["fee_type"]]
        listed = await collector.until(
            lambda: (
                {m.market_ticker for m in collector.messages() if isinstance(m, ProgramListed)}
                == set(found)
            ),
            "a program of every market",
        )
        assert listed
        event = exchange.get(f"/markets/{by_number[2]}")["market"]["event_ticker"]
        exchange.order(
            "fees",
            series_ticker=series_of(event),
            event_ticker=event,
            fee_type="flat",
            fee_multiplier_e4=5_000,
        )
        await collector.until(
            lambda: terms(collector)[by_number[2]].fees[-1][1:] == ("flat", 5_000),
            "the event's own fees",
        )
