"""The one reader of recordings: files in, the rules of the live feed applied to every frame.

`sessions import` and the `--recordings` of training and evaluation read through it, so a lost line
has the same effect in both: a gap, and every book of that file is STALE until its next snapshot.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ipc.clock import NS_PER_MS
from ipc.messages import Environment, MarkKind
from processes.adapters.kalshi.feed.book_feed import (
    DATA,
    Book,
    BookFeed,
    Distrust,
    Effect,
    Mark,
    Note,
    WriteQueue,
    channel_of,
    loss_of,
)
from processes.adapters.kalshi.recordings.lines import (
    RecordedFrame,
    RecordingCut,
    RecordingError,
    read_frames,
    recording_files,
)
from processes.adapters.kalshi.recordings.markets import RecordedMarket, load_markets
from processes.adapters.kalshi.schemas.frames import Channel, Frame
from processes.adapters.kalshi.stream.subscriptions import Subscriptions

__all__ = [
    "AUTO",
    "NEVER_TICKS_NS",
    "SEQS",
    "RecordedFeed",
    "Recording",
    "Say",
    "open_recordings",
    "to_stderr",
]

AUTO: Final = "auto"
WHOLE: Final = "whole"
PART: Final = "part"
SEQS: Final = (AUTO, WHOLE, PART)
SAMPLE: Final = 2_000  # sequenced frames that distinguish a part of a subscription from all of it
MANY: Final = 0.05  # of them jump: a recording that lost so much would not be worth keeping
NEVER_TICKS_NS: Final = 1 << 62  # a throttle: no process reads the rows of a recording
SNAPSHOT: Final = b'"orderbook_snapshot"'

Loss = Distrust | Note
Say = Callable[[str], None]


class Recording:
    """One file: its markets, its first receive time, and the counts of its subscriptions.

    Args:
        path: The file.
        markets: Those that it has a book of.
        starts_ms: Receive time of its first frame.
        whole: Whether it keeps every frame of its subscriptions, so that a jump of `seq` is a loss.
        skip_damaged: Whether damage in the middle is taken for the file's end.

    Attributes:
        ended: Whether its last frame has been taken.
    """

    def __init__(
        self,
        path: Path,
        markets: list[RecordedMarket],
        starts_ms: int,
        *,
        whole: bool,
        skip_damaged: bool = False,
    ) -> None:
        self.path = path
        self.markets = markets
        self.starts_ms = starts_ms
        self.whole = whole
        self.ended = False
        self._skip_damaged = skip_damaged
        self._connect()

    def _connect(self) -> None:
        """A new connection: an equal sid is a new subscription."""
        self._subscriptions = Subscriptions(on_yes_scale=False)
        self._seqs: dict[int, int] = {}

    def frames(self) -> Iterator[RecordedFrame | RecordingError]:
        """Its frames in order; last, if the file breaks off, the error that says where."""
        try:
            yield from read_frames(self.path)
        except RecordingError as error:
            if not (self._skip_damaged or isinstance(error, RecordingCut)):
                raise
            yield error

    def losses(self, frame: Frame) -> Sequence[Loss]:
        """What is missing before this frame, or ends with it, by the `seq` of its subscription.

        Numbers start with the first that the file has: what was sent before it is not missing. In
        a file that keeps a part of its subscriptions jumps are no losses.
        """
        found: list[Loss] = []
        if frame.sid is not None and frame.seq is not None:
            last = self._seqs.get(frame.sid)
            if last is not None and frame.seq <= last:
                self._connect()
                found.append(Distrust(MarkKind.DISCONNECTED, (), "seq starts again"))
            if frame.sid not in self._seqs:
                self._subscriptions.start_at(frame.sid, frame.seq)
            self._seqs[frame.sid] = frame.seq
        if self.whole:
            channel = channel_of(frame) or Channel.BOOK  # if in doubt, it concerns the books
            events = self._subscriptions.on_frame(frame)
            found += [loss for e in events if (loss := loss_of(e, channel)) is not None]
        return found


def to_stderr(line: str) -> None:
    """One line for the person at the terminal."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def open_recordings(
    path: Path,
    *,
    seq: str = AUTO,
    environment: Environment | None = None,
    skip_damaged: bool = False,
    say: Say = to_stderr,
) -> list[Recording]:
    """Open the recordings of a file or folder, by the receive time of their first frames.

    Args:
        path: A recording, or a folder of them.
        seq: One of `SEQS`: whether a jump of `seq` is a loss; `auto` looks at how often it jumps.
        environment: Of all of them; None: by the folder's name.
        skip_damaged: Leave out files that cannot be used, and say so.
        say: Takes one line per file that is left out.

    Raises:
        RecordingError: A file that cannot be read, or has no snapshot and so no book; with
            `skip_damaged` only when none can be used.
    """
    found = []
    for file in recording_files(path):
        try:
            found.append(_open(file, seq, environment, skip_damaged))
        except RecordingError as error:
            if not skip_damaged:
                raise
            say(f"left out: {error}")
    if not found:
        raise RecordingError(path, 0, "none of its recordings can be used")
    return sorted(found, key=lambda r: (r.starts_ms, r.path.name))


def _open(file: Path, seq: str, environment: Environment | None, skip_damaged: bool) -> Recording:
    starts_ms, is_whole = _opening(file)
    markets = load_markets(file)
    if environment is not None:
        markets = [msgspec.structs.replace(m, environment=environment) for m in markets]
    whole = seq == WHOLE or (seq == AUTO and is_whole)
    return Recording(file, markets, starts_ms, whole=whole, skip_damaged=skip_damaged)


def _opening(file: Path) -> tuple[int, bool]:
    """(receive time of the first frame, whether hardly any of the first frames jumps)."""
    starts_ms: int | None = None
    has_snapshot = False
    last: dict[int, int] = {}
    seen = jumps = 0
    for recorded in Recording(file, [], 0, whole=False).frames():
        if isinstance(recorded, RecordingError):
            break
        if starts_ms is None:
            starts_ms = recorded.recv_ms
        has_snapshot |= SNAPSHOT in recorded.raw
        if seen == SAMPLE:
            if has_snapshot:
                break
            continue
        frame = recorded.frame
        if frame.sid is not None and frame.seq is not None:
            jumps += frame.sid in last and frame.seq > last[frame.sid] + 1
            last[frame.sid] = frame.seq
            seen += 1
    if starts_ms is None or not has_snapshot:
        raise RecordingError(
            file, 0, "no orderbook_snapshot in it; --skip-damaged leaves such files out"
        )
    return starts_ms, jumps <= MANY * seen


class RecordedFeed:
    """Recorded frames through `BookFeed`; several files may share it, a market at a time each.

    Call `begin`, then `take` for every frame, then `end`, for each file.

    Args:
        queue: Books and journal.
        rows: The row of every market.

    Attributes:
        counts: Frames applied, gaps, and what was left out, by name.
    """

    def __init__(self, queue: WriteQueue, rows: Mapping[str, int]) -> None:
        self._books = {ticker: Book(ticker, row) for ticker, row in rows.items()}
        self._feed = BookFeed(queue, self._books.get)
        self._owners: dict[str, Recording] = {}
        self.counts: Counter[str] = Counter()

    def begin(self, recording: Recording) -> Mark:
        """A file's first frame is next."""
        kept = "every frame" if recording.whole else "a part of its subscriptions: seq may jump"
        return Mark(MarkKind.CONNECTED, None, f"{recording.path.name}: {kept}")

    def take(self, recording: Recording, recorded: RecordedFrame, recv_ms: int) -> list[Mark]:
        """Apply one frame, in the order of its file.

        Returns:
            What the session notes behind it: `SessionJournal.mark` at `recv_ms`.

        Raises:
            RecordingError: the line is no frame, or two files have one market at the same time.
            OSError: the journal took no record; make room before every frame.
        """
        frame = recorded.frame
        marks = [self._on_loss(recording, loss) for loss in recording.losses(frame)]
        if not isinstance(frame, DATA):
            return marks
        self._own(recording, recorded, frame.msg.market_ticker)
        outcome = self._feed.on_frame(frame, recv_ms * NS_PER_MS, 0, 0, on_yes_scale=False)
        match outcome.effect:
            case Effect.RECORDED:
                self.counts["frames"] += 1
            case Effect.UNRECORDED:
                raise OSError("the journal of events is full")
            case Effect.MALFORMED:
                detail = outcome.mark.detail if outcome.mark else ""
                raise RecordingError(recorded.path, recorded.line, detail)
            case Effect.UNKNOWN_MARKET:
                self.counts["of_markets_without_a_book"] += 1
            case Effect.MISFIT:
                self.counts["gaps"] += 1
            case Effect.NOT_LIVE | Effect.IN_SNAPSHOT:
                self.counts["before_a_snapshot"] += 1
        if outcome.mark is not None:
            marks.append(outcome.mark)
        return marks

    def end(self, recording: Recording, cut: RecordingError | None = None) -> list[Mark]:
        """A file's last frame has been taken; another that goes on brings its own snapshots."""
        recording.ended = True
        self._feed.distrust(self._tickers_of(recording))
        if cut is None:
            return []
        self.counts["files_that_break_off"] += 1
        return [Mark(MarkKind.DISCONNECTED, None, f"the file breaks off: {cut.where}")]

    def _on_loss(self, recording: Recording, loss: Loss) -> Mark:
        if isinstance(loss, Note):
            self.counts["gaps"] += 1
            return Mark(MarkKind.GAP, None, f"{recording.path.name}: {loss.detail}")
        self.counts["gaps"] += loss.kind is MarkKind.GAP
        self._feed.distrust(self._tickers_of(recording))
        return Mark(loss.kind, None, f"{recording.path.name}: {loss.detail}")

    def _tickers_of(self, recording: Recording) -> Iterable[str]:
        return [ticker for ticker, owner in self._owners.items() if owner is recording]

    def _own(self, recording: Recording, recorded: RecordedFrame, ticker: str) -> None:
        """A market's frames come from one file at a time."""
        owner = self._owners.get(ticker)
        if owner is recording or ticker not in self._books:
            return
        if owner is not None and not owner.ended:
            raise RecordingError(
                recorded.path, recorded.line, f"{ticker} is in {owner.path.name} at the same time"
            )
        self._owners[ticker] = recording
