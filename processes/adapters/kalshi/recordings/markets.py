"""What is known of a recorded market: its times, its outcome, its price grid.

From `metadata/<event>.json` (the exchange's own event reply) beside the recording, else from
`markets.csv`, else from the recorder's marks and the prices seen. Unknown times are 0. What a
market charged is known where `metadata/<series>.json` holds the reply to `GET /series/<series>`.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import msgspec

from ipc.messages import Environment
from ipc.units import LINEAR_CENT, PriceGrid, PriceRange, parse_price
from models.trading.fees import ALWAYS_MS, FeeStep
from models.trading.known_fees import series_of
from models.trading.market_fees import OverrideStep, resolve_steps
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.recordings.lines import (
    SUFFIXES,
    RecordingError,
    read_frames,
    read_marks,
    up_to_cut,
)
from processes.adapters.kalshi.rest.public import EventFees, Series
from processes.adapters.kalshi.schemas.decoding import decode, reason_of
from processes.adapters.kalshi.schemas.enums import Result
from processes.adapters.kalshi.schemas.frames import Delta, Snapshot
from processes.adapters.kalshi.schemas.normalise import (
    change_of_delta,
    levels_of_snapshot,
    market_of,
    ms_of_rfc3339,
)
from processes.adapters.kalshi.schemas.rest_public import EventRow, Market, SeriesRow

__all__ = ["RecordedMarket", "load_market", "load_markets"]

MAX_BESIDE: Final = 64 << 20  # bytes of a file beside a recording
_TAPERED: Final = PriceGrid(
    [PriceRange(0, 1000, 10), PriceRange(1000, 9000, 100), PriceRange(9000, 10_000, 10)]
)
_GRIDS: Final = (  # coarsest first
    LINEAR_CENT,
    _TAPERED,
    PriceGrid([PriceRange(0, 10_000, 10)]),
    PriceGrid([PriceRange(0, 10_000, 1)]),
)


class RecordedMarket(msgspec.Struct, frozen=True):
    """A market of a recording.

    Attributes:
        ticker: The market.
        event_ticker: Its event.
        path: The recording.
        environment: Demo for a folder named `demo`, else production: recordings do not say.
        grid: Its prices; where nothing lies beside the recording, the coarsest grid that fits all
            prices seen.
        open_ms: When it opened, Unix milliseconds; 0 unknown.
        close_ms: When it closed; 0 unknown.
        settled_ms: When it paid; 0 unknown.
        result: How it ended.
        yes_value_e4: What a YES contract paid, None when not known.
        title: For people.
        body: All of the exchange's own reply, empty when there was none.
    """

    ticker: str
    event_ticker: str
    path: Path
    environment: Environment
    grid: PriceGrid
    open_ms: int = 0
    close_ms: int = 0
    settled_ms: int = 0
    result: Result = Result.NONE
    yes_value_e4: int | None = None
    title: str = ""
    fees: tuple[FeeStep, ...] = ()  # empty: not known
    body: dict[str, Any] = {}  # all of the exchange's own reply, empty when there was none

    @property
    def series_ticker(self) -> str:
        """The ticker up to its first dash."""
        return self.ticker.partition("-")[0]


class _Event(msgspec.Struct):
    markets: list[msgspec.Raw]
    event: msgspec.Raw = msgspec.Raw(b"null")


class _MaybeSeries(msgspec.Struct):
    series: SeriesRow | None = None  # an event may be named like its series


class _SeriesMetadata(msgspec.Struct):
    response: _MaybeSeries


class _Metadata(msgspec.Struct):
    response: _Event


_metadata: Final = msgspec.json.Decoder(_Metadata)
_market: Final = msgspec.json.Decoder(Market)
_series: Final = msgspec.json.Decoder(_SeriesMetadata)
_event: Final = msgspec.json.Decoder(EventRow)
_body: Final = msgspec.json.Decoder(dict[str, Any])


def load_market(path: Path) -> RecordedMarket:
    """Load the only market of a recording.

    Raises:
        RecordingError: It holds none or several, or cannot be read.
    """
    markets = load_markets(path)
    if len(markets) != 1:
        raise RecordingError(path, 0, f"holds {len(markets)} markets, not one")
    return markets[0]


def load_markets(path: Path) -> list[RecordedMarket]:
    """Load all markets of one recording; reads through the file only when nothing lies beside it.

    Args:
        path: The recording; `metadata/` and `markets.csv` are looked for in its folder.

    Raises:
        RecordingError: The file, or one beside it, cannot be read.
    """
    ticker = _stem(path)
    known = _from_metadata(path, ticker) or _from_csv(path, ticker)
    return [known] if known else _from_frames(path)


def _stem(path: Path) -> str:
    suffix = next((s for s in SUFFIXES if path.name.endswith(s)), "")
    return path.name.removesuffix(suffix)


def _event_of(ticker: str) -> str:
    return ticker.rpartition("-")[0] or ticker


def _environment_of(path: Path) -> Environment:
    """Recordings do not say; a folder named `demo` or `demo-...` holds the demo exchange's.

    Only the file's own folder and the one above it count: `/home/demo/...` says nothing.
    """
    words = {folder.name.partition("-")[0] for folder in list(path.absolute().parents)[:2]}
    return Environment.DEMO if "demo" in words else Environment.PRODUCTION


def _from_metadata(path: Path, ticker: str) -> RecordedMarket | None:
    file = path.parent / "metadata" / f"{_event_of(ticker)}.json"
    if not file.is_file():
        return None
    try:
        reply = decode(_metadata, _read(file), "not an event's reply").response
        for raw in reply.markets:
            market = decode(_market, raw, "not an event's reply")
            if market.ticker == ticker:
                known = _of_market(path, market, decode(_body, raw, "not an event's reply"))
                return msgspec.structs.replace(known, fees=_fees_of(path, market, _own_of(reply)))
        return None
    except (WireError, ValueError) as error:
        raise RecordingError(file, 0, reason_of(error)) from None


def _own_of(reply: _Event) -> EventFees | None:
    """An event's series and own fees; None where its reply does not say them."""
    try:
        return EventFees.of(decode(_event, reply.event, "an event"))
    except WireError:
        return None


def _fees_of(path: Path, market: Market, own: EventFees | None) -> tuple[FeeStep, ...]:
    """What a market charged, by the reply of its series beside the recording; () without one."""
    ticker = own.series_ticker if own else series_of(market.ticker)
    file = path.parent / "metadata" / f"{ticker}.json"
    if not file.is_file():
        return ()
    row = decode(_series, _read(file), "not a series' reply").response.series
    if row is None:
        return ()
    series = Series.of(row)
    overrides = [OverrideStep(ALWAYS_MS, own.fee_type, own.fee_multiplier_e4)] if own else []
    steps = [FeeStep(ALWAYS_MS, series.fee_type, series.fee_multiplier_e4)]
    return resolve_steps(steps, overrides, market_of(market).fee_waiver_ms)


def _read(file: Path) -> bytes:
    """A file beside a recording, of at most `MAX_BESIDE` bytes."""
    try:
        with open(file, "rb") as opened:
            data = opened.read(MAX_BESIDE + 1)
    except OSError as error:
        raise RecordingError(file, 0, f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_BESIDE:
        raise RecordingError(file, 0, f"has more than {MAX_BESIDE} bytes")
    return data


def _of_market(path: Path, market: Market, body: dict[str, Any]) -> RecordedMarket:
    info = market_of(market)
    value = market.settlement_value_dollars
    return RecordedMarket(
        ticker=info.ticker,
        event_ticker=info.event_ticker,
        path=path,
        environment=_environment_of(path),
        grid=info.grid,
        open_ms=info.open_ms,
        close_ms=info.close_ms,
        settled_ms=ms_of_rfc3339(market.settlement_ts) if market.settlement_ts else 0,
        result=info.result,
        yes_value_e4=parse_price(value) if value else None,
        title=info.title,
        body=body,
    )


def _from_csv(path: Path, ticker: str, grid: PriceGrid | None = None) -> RecordedMarket | None:
    """Its row of `markets.csv`; without a `grid` the one of the prices seen."""
    file = path.parent / "markets.csv"
    if not file.is_file():
        return None
    try:
        lines = io.StringIO(_read(file).decode(), newline="")
        rows = [row for row in csv.DictReader(lines) if row.get("window") == ticker]
    except (csv.Error, UnicodeDecodeError) as error:
        raise RecordingError(file, 0, reason_of(error)) from None
    if not rows:
        return None
    row = rows[0]
    grid = grid or _grid_of_prices(_prices_seen(path).get(ticker, set()))
    try:
        return RecordedMarket(
            ticker=ticker,
            event_ticker=row["event_ticker"],
            path=path,
            environment=_environment_of(path),
            grid=grid,
            open_ms=ms_of_rfc3339(row["open_time"]),
            close_ms=ms_of_rfc3339(row["close_time"]),
            settled_ms=ms_of_rfc3339(row["settlement_ts"]) if row.get("settlement_ts") else 0,
            result=Result(row["result"]),
            yes_value_e4=parse_price(row["settlement_value_dollars"]),
        )
    except (KeyError, TypeError, ValueError, WireError) as error:
        raise RecordingError(file, 0, f"row of {ticker}: {reason_of(error)}") from None


def _from_frames(path: Path) -> list[RecordedMarket]:
    """One market per ticker that has frames of a book, in the order of their first ones.

    What lies beside the file counts here too: not every file is named by its ticker.
    """
    prices = _prices_seen(path)
    closes = _closes_marked(path)
    return [
        _from_metadata(path, ticker)
        or _from_csv(path, ticker, _grid_of_prices(seen))
        or RecordedMarket(
            ticker=ticker,
            event_ticker=_event_of(ticker),
            path=path,
            environment=_environment_of(path),
            grid=_grid_of_prices(seen),
            close_ms=closes.get(ticker, 0),
        )
        for ticker, seen in prices.items()
    ]


def _prices_seen(path: Path) -> dict[str, set[int]]:
    prices: defaultdict[str, set[int]] = defaultdict(set)
    for recorded in up_to_cut(read_frames(path)):
        frame = recorded.frame
        try:
            if isinstance(frame, Delta):
                prices[frame.msg.market_ticker].add(change_of_delta(frame.msg)[1])
            elif isinstance(frame, Snapshot):
                levels = levels_of_snapshot(frame.msg)[1]
                prices[frame.msg.market_ticker].update(levels.tolist())
        except WireError as error:
            raise RecordingError(path, recorded.line, str(error)) from None
    return dict(prices)


def _grid_of_prices(prices: set[int]) -> PriceGrid:
    return next((g for g in _GRIDS if all(g.index(p) >= 0 for p in prices)), _GRIDS[-1])


def _closes_marked(path: Path) -> dict[str, int]:
    facts = [facts for _, facts in up_to_cut(read_marks(path))]
    found = [(f.get("market_ticker"), f.get("close_time")) for f in facts]
    try:
        return {str(t): ms_of_rfc3339(c) for t, c in found if t and c}
    except WireError as error:
        raise RecordingError(path, 0, f"close_time of a mark: {error}") from None
