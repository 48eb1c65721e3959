"""Is a stored session true to itself? Whether it is what the exchange sent, `verify` asks."""

from __future__ import annotations

import argparse

import msgspec

from processes.recorder.sessions.books import MarketReport, SessionReport, check_session
from processes.recorder.sessions.desk import Desk, Progress, choose

__all__ = ["lines_of", "verify_sessions"]


def _wrongs(report: MarketReport | SessionReport, *names: str) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {getattr(report, name):,}" for name in names)


def lines_of(report: SessionReport) -> list[str]:
    """What was found, markets with errors by name."""
    markets = report.markets
    totals = {
        name: sum(getattr(m, name) for m in markets)
        for name in MarketReport.__struct_fields__
        if name != "market_ticker"
    }
    whole = MarketReport("", **totals)
    counted = _wrongs(whole, "events", "deltas", "trades", "snapshots")
    return [
        f"session {report.session_id}: {len(markets)} markets, {counted}",
        f"  {_wrongs(report, 'gaps', 'holes', 'missing', 'duplicates')}",
        f"  {_wrongs(report, 'unknown_results', 'not_in_archive', 'other_in_archive')}",
        *_fee_lines(report),
        f"  {_wrongs(whole, *WRONG)}",
        *(f"  {m.market_ticker}: {_wrongs(m, *WRONG)}" for m in markets if m.errors),
        f"  {report.errors:,} errors",
    ]


def _fee_lines(report: SessionReport) -> list[str]:
    """What is not known of its fees; no line when everything is."""
    if not report.assumed_fees:
        return []
    return [f"  fees assumed for {report.assumed_fees} of {len(report.markets)} markets"]


WRONG = (
    *("negative_sizes", "off_grid", "crossings", "lasting_crossings"),
    *("without_book", "broken_snapshots"),
)


async def verify_sessions(desk: Desk, options: argparse.Namespace) -> int:
    """Print a report of each; 1 when any has errors."""
    reports = []
    for session in await choose(desk.loader, options.session):
        progress = Progress(f"verify session {session.session_id}", session.events)
        ended = session.last_event_no if session.status != "active" else None
        reports.append(
            await check_session(
                desk.loader, session.session_id, last_event_no=ended, done=progress.add
            )
        )
        progress.end()
        if not options.json:
            print("\n".join(lines_of(reports[-1])))
    if options.json:
        found = [msgspec.structs.asdict(r) | {"errors": r.errors} for r in reports]
        print(msgspec.json.encode(found).decode())
    return 1 if any(report.errors for report in reports) else 0
