"""The local exchange's fees and programs: what it lists, and that it charges by it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.local_exchange import LocalExchange
from support.local_orders import ORDERS, TICKER, answer, order, two_markets

from models.trading.fees import FLAT_RATE_E6
from processes.exchange.core.catalogue import Catalogue
from processes.exchange.synthetic.flow import SERIES_FEES

NOW_MS = 1_796_000_000_000
IOC = {"time_in_force": "immediate_or_cancel"}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LocalExchange]:
    """Makes the exchange."""
    return partial(two_markets, tmp_path, NOW_MS)


async def programs(exchange: LocalExchange, **query: Any) -> list[dict[str, Any]]:
    """Every page of the list."""
    rows, cursor = [], ""
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = (await exchange.call("GET", "/incentive_programs", **query, **more)).json()
        assert "cursor" not in page
        rows += page["incentive_programs"]
        cursor = page["next_cursor"]
        if not cursor:
            return rows


async def charged(exchange: LocalExchange) -> float:
    """The fee of one contract taken at 0.52."""
    made = await exchange.call("POST", ORDERS, order("0.5200", "1.00", **IOC))
    return float(made.json()["average_fee_paid"])


class TestFees:
    @pytest.mark.parametrize(
        ("fee_type", "multiplier_e4", "fee"),
        [
            ("quadratic", 10_000, 0.0175),
            ("quadratic", 0, 0.0),
            ("quadratic_with_maker_fees", 5_000, 0.0088),
            ("flat", 10_000, FLAT_RATE_E6 / 1e6),
        ],
    )
    async def test_a_series_charges_by_its_type(self, make, fee_type, multiplier_e4, fee):
        async with make() as exchange:
            facts = {"fee_type": fee_type, "fee_multiplier_e4": multiplier_e4}
            await exchange.order("fees", series_ticker="KXA", **facts, scheduled_ms=NOW_MS - 1)
            series = (await exchange.call("GET", "/series/KXA")).json()["series"]
            assert (series["fee_type"], series["fee_multiplier"]) == (
                fee_type,
                multiplier_e4 / 10_000,
            )
            assert await charged(exchange) == pytest.approx(fee, abs=1e-9)

    async def test_a_change_counts_from_its_millisecond_on(self, make):
        async with make() as exchange:
            now_ms = exchange.state.venue.now_ms()
            facts = {"fee_type": "quadratic", "fee_multiplier_e4": 0}
            await exchange.order("fees", series_ticker="KXA", **facts, scheduled_ms=now_ms + 60_000)
            market, fees = exchange.state.venue.markets[TICKER], exchange.state.venue.fees
            assert fees.of(market, now_ms + 59_999).taker_rate_e6 == 70_000
            assert fees.of(market, now_ms + 60_000).taker_rate_e6 == 0

    async def test_an_override_goes_before_its_series_until_it_is_taken_back(self, make):
        async with make() as exchange:
            event = {"series_ticker": "KXA", "event_ticker": "KXA-26NOV25"}
            await exchange.order("fees", **event, fee_type="quadratic", fee_multiplier_e4=0)
            assert await charged(exchange) == 0
            listed = (await exchange.call("GET", "/events/fee_changes")).json()
            assert [c["fee_multiplier_override"] for c in listed["event_fee_changes"]] == [0]
            await exchange.order("fees", **event)
            assert await charged(exchange) == pytest.approx(0.0175, abs=1e-9)

    def test_the_first_synthetic_series_have_every_kind(self):
        kinds = {kind for kind, _ in SERIES_FEES}
        assert kinds == {"quadratic", "quadratic_with_maker_fees", "flat"}
        assert {times for _, times in SERIES_FEES} == {10_000, 5_000, 0}

    def test_so_has_the_catalogue(self):
        catalogue = Catalogue(64 * 100, 0, 1)
        rows = [catalogue.row(64 * n, NOW_MS) for n in range(100)]
        facts = [catalogue.market(row, NOW_MS).facts for row in rows]
        found = {(f.fee_type, f.fee_multiplier_e4) for f in facts}
        assert found >= {
            ("quadratic", 10_000),
            ("quadratic", 5_000),
            ("quadratic", 0),
            ("flat", 10_000),
            ("quadratic_with_maker_fees", 10_000),
        }


class TestPrograms:
    async def test_every_market_that_trades_has_some_and_pages_hold_each_once(self, make):
        async with make(catalogue_markets=500) as exchange:
            whole = await programs(exchange, limit=10_000)
            paged = await programs(exchange, limit=7)
        assert len({p["id"] for p in whole}) == len(whole) == 2 * 3 + 50
        assert paged == whole
        first = next(p for p in whole if p["market_ticker"] == TICKER)
        assert first["period_reward"] == 200_000
        assert (first["target_size_fp"], first["discount_factor_bps"]) == ("300.00", 5_000)

    async def test_a_status_is_a_part_of_the_list(self, make):
        async with make() as exchange:
            whole = await programs(exchange)
            parts = {
                status: await programs(exchange, status=status)
                for status in ("active", "upcoming", "closed", "paid_out")
            }
            assert sorted(p["id"] for part in parts.values() for p in part) == sorted(
                p["id"] for p in whole
            )
            assert parts["active"]
            assert parts["upcoming"]
            assert await programs(exchange, status="all", type="volume") == [
                p for p in whole if p["incentive_type"] == "volume"
            ]

    async def test_what_is_over_is_closed_then_paid_out(self, make):
        async with make() as exchange:
            (first, *_) = await programs(exchange, status="active")
            market = exchange.state.venue.markets[first["market_ticker"]]
            half_ms = (market.facts.open_ms + market.facts.close_ms) // 2
            for later_ms, status in ((half_ms, "closed"), (half_ms + 60_000, "paid_out")):
                exchange.state.venue.step_ms = later_ms
                found = {p["id"]: p for p in await programs(exchange, status=status)}
                assert found[first["id"]]["paid_out"] == (status == "paid_out")

    async def test_an_unknown_filter_is_refused(self, make):
        async with make() as exchange:
            for query in ({"status": "late"}, {"type": "luck"}, {"limit": "10001"}):
                reply = await exchange.call("GET", "/incentive_programs", **query)
                assert answer(reply)[0] == 400
