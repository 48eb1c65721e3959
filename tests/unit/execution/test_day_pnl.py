"""Profit of the day, its peak, and losses in a row."""

from __future__ import annotations

from processes.execution.day_pnl import MS_PER_DAY, DayPnl, DayRecord, LossStreak

NOON_MS = 20_000 * MS_PER_DAY + 12 * 3_600_000


def day(record: DayRecord | None = None) -> DayPnl:
    return DayPnl(record or DayRecord(), NOON_MS)


def stored(found: DayPnl) -> DayRecord:
    return DayRecord(found.day, found.markets, found.peak_e6)


def test_profit_is_what_results_changed_by_and_the_drawdown_is_from_its_peak() -> None:
    found = day()
    found.begin("A", 0)
    found.begin("B", -7)
    for ticker, result, profit, drawdown in [
        ("A", 10, 10, 0),
        ("B", -4, 13, 0),
        ("A", 5, 8, 5),
        ("B", -20, -8, 21),
        ("A", 30, 17, 0),
    ]:
        found.update(ticker, result)
        assert (found.profit_e6, found.drawdown_e6) == (profit, drawdown)


def test_a_restart_goes_on_with_the_same_day() -> None:
    found = day()
    found.begin("A", 0)
    found.update("A", 10)
    found.update("A", 4)
    again = day(stored(found))
    assert (again.profit_e6, again.drawdown_e6) == (4, 6)
    again.update("A", 1)  # as it is now, with what happened meanwhile
    assert (again.profit_e6, again.drawdown_e6) == (1, 9)


def test_another_day_begins_at_nothing_with_the_results_as_they_are() -> None:
    found = day()
    found.begin("A", 0)
    found.begin("B", 3)
    found.update("A", 10)
    assert not found.roll(NOON_MS + MS_PER_DAY // 2 - 1)
    assert found.roll(NOON_MS + MS_PER_DAY // 2)
    assert (found.profit_e6, found.peak_e6) == (0, 0)
    assert found.markets == {"A": (10, 10), "B": (3, 3)}
    found.update("A", 4)
    assert (found.profit_e6, found.drawdown_e6) == (-6, 6)
    assert DayPnl(stored(found), NOON_MS).profit_e6 == 0  # a clock that was set back
    found.forget(keep={"C"})
    assert found.markets == {"A": (10, 4)}


def test_a_trade_is_closed_when_a_market_is_flat_again() -> None:
    streak = LossStreak()
    seen = []
    for ticker, position, net in [
        ("A", 0, 0),
        ("A", 5, -1),  # a fee
        ("A", 2, -3),  # not closed yet
        ("A", 0, -4),  # -4
        ("A", 0, -4),
        ("B", 7, 0),
        ("B", 0, -1),  # -1
        ("A", 0, -2),  # opened and closed between two looks: +2
        ("B", 3, -1),
        ("B", 0, -2),  # -1
        ("B", -3, -2),
        ("B", 0, -2),  # nothing won, nothing lost
    ]:
        streak.update(ticker, position, net)
        seen.append(streak.losses)
    assert seen == [0, 0, 0, 1, 1, 1, 2, 0, 0, 1, 1, 1]
    streak.forget("B")
    streak.update("B", 0, 50)  # as when it is first seen
    assert streak.losses == 1
