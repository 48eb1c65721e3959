"""Recorded WebSocket traffic of any known form, line by line, as frames of today's protocol.

A file is data from outside: whatever a line holds is a `RecordingError` that names file and line,
and a line of more than `MAX_LINE` bytes is never held. A file that was cut off in its last line, as
a recorder leaves it that was killed, is read up to the cut; then comes a `RecordingCut`.

Forms of a line: `{"recv_ms", "event"}`, `{"recv_ts_ns", "raw"}`, a bare frame (its receive time is
then the exchange's), and the recorder's own marks `{"recv_ms", "recorder", "info"}`, which are
skipped. Frames of the integer-cent protocol of 2025 are rewritten in dollars.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Annotated, Any, Final, NamedTuple, TypeVar

import msgspec

from ipc.clock import NS_PER_MS
from ipc.errors import KalshiActorError
from ipc.units import format_count, format_price
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.schemas.decoding import UNREADABLE, decode, reason_of
from processes.adapters.kalshi.schemas.frames import Frame, decode_frame
from processes.adapters.kalshi.schemas.normalise import exchange_ms

__all__ = [
    "SUFFIXES",
    "RecordedFrame",
    "RecordingCut",
    "RecordingError",
    "read_frames",
    "read_marks",
    "recording_files",
    "up_to_cut",
]

SUFFIXES: Final = (".ndjson.gz", ".jsonl.gz", ".ndjson", ".jsonl")
REST_PREFIX: Final = "rest_"  # replies recorded beside the frames
BUFFER: Final = 1 << 20  # bytes
MAX_LINE: Final = 32 << 20  # bytes; twice the largest message, which a line may hold as text
MAX_UNTIMED: Final = 64 << 20  # bytes of frames that wait for the first time in their file
_MAX_MS: Final = 9_000_000_000_000  # until the year 2255; in nanoseconds still 64 bits
CENT_E4: Final = 100
CONTRACT_E2: Final = 100


class RecordingError(KalshiActorError, ValueError):
    """A recording that cannot be read: which file, which line, what is wrong.

    Args:
        path: The file.
        line: Number of the line, from 1; 0 for the file as a whole.
        what: What is wrong.

    Attributes:
        where: File name and line, without folders.
    """

    def __init__(self, path: Path, line: int, what: str) -> None:
        super().__init__(f"{path}:{line}: {what}" if line else f"{path}: {what}")
        self.where = f"{path.name}:{line}" if line else path.name


class RecordingCut(RecordingError):
    """A recording that breaks off in its last line: what stands before it can be used."""


class RecordedFrame(NamedTuple):
    """One frame of a recording.

    Attributes:
        recv_ms: Receive time in Unix milliseconds; of a bare frame the exchange's own.
        raw: The frame's JSON, amounts in dollars.
        line: Where it stands in its file, from 1.
        path: The file.
    """

    recv_ms: int
    raw: bytes
    line: int
    path: Path

    @property
    def frame(self) -> Frame:
        """The frame, typed; decoded at each use. `RecordingError` names field and line."""
        try:
            return decode_frame(self.raw)
        except WireError as error:
            raise RecordingError(self.path, self.line, str(error)) from None


class _Line(msgspec.Struct, gc=False):
    """The union of all forms."""

    recv_ms: Annotated[float, msgspec.Meta(ge=0, le=_MAX_MS)] | None = None
    event: msgspec.Raw = msgspec.Raw()
    recv_ts_ns: Annotated[int, msgspec.Meta(ge=0, le=_MAX_MS * 1_000_000)] | None = None
    raw: str | None = None
    type: str | None = None
    recorder: str | None = None
    info: dict[str, Any] | None = None


_line: Final = msgspec.json.Decoder(_Line)
_event: Final = msgspec.json.Decoder(dict[str, Any])

T = TypeVar("T")


def recording_files(path: Path) -> list[Path]:
    """List one recording, or those of a folder in the order of their names.

    Args:
        path: A file, or a folder; replies of REST that lie in it (`rest_...`) are passed over.

    Raises:
        RecordingError: There is no such file or folder, or no recording in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RecordingError(path, 0, "no such file or folder")
    files = [f for f in path.iterdir() if f.name.endswith(SUFFIXES) and f.is_file()]
    found = sorted(f for f in files if not f.name.startswith(REST_PREFIX))
    if not found:
        raise RecordingError(path, 0, f"no recordings in it; allowed: *{', *'.join(SUFFIXES)}")
    return found


def _lines(path: Path) -> Iterator[tuple[int, bytes, _Line]]:
    """(line number, its bytes, its parts) of every line that is not blank."""
    used = False
    for number, text in _texts(path):
        try:
            line = decode(_line, text, "not a recorded line")
        except WireError as error:
            is_cut = used and not text.endswith(b"\n")
            kind = RecordingCut if is_cut else RecordingError
            raise kind(path, number, str(error)) from None
        used = True
        yield number, text, line


def _texts(path: Path) -> Iterator[tuple[int, bytes]]:
    """(line number, its bytes) of every line that is not blank, none of it beyond `MAX_LINE`."""
    number = 0
    try:
        with _open(path) as file:
            while text := file.readline(MAX_LINE + 1):
                number += 1
                if len(text) > MAX_LINE:
                    raise RecordingError(path, number, f"a line of more than {MAX_LINE} bytes")
                if not text.isspace():
                    yield number, text
    except EOFError as error:  # the end of the compressed data is missing
        kind = RecordingCut if number else RecordingError
        raise kind(path, number + 1, f"damaged compression: {error}") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise RecordingError(path, number + 1, f"damaged compression: {error}") from None
    except OSError as error:
        raise RecordingError(path, 0, f"cannot be read: {error.strerror or error}") from None


class _Unpacked(io.RawIOBase):
    """A gzip file that gives what it can: `GzipFile` fails a whole read when its end is missing."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.GzipFile(path)

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Some bytes, 0 at the end; errors of `GzipFile` come after all that could be read."""
        data = self._file.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _open(path: Path) -> IO[bytes]:
    if path.suffix != ".gz":
        return open(path, "rb", buffering=BUFFER)
    return io.BufferedReader(_Unpacked(path), BUFFER)


def up_to_cut(items: Iterator[T], say: Callable[[str], None] | None = None) -> Iterator[T]:
    """Give out what stands before the place where a file was cut off.

    Args:
        items: Of one recording.
        say: Takes one line about the cut, if there is one.
    """
    try:
        yield from items
    except RecordingCut as cut:
        if say is not None:
            say(f"used up to where it breaks off: {cut}")


def read_frames(path: Path) -> Iterator[RecordedFrame]:
    """The frames of one file in order, each as it is read; amounts are rewritten in dollars.

    Raises:
        RecordingCut: The file was cut off in its last line, and all before it has been given out.
        RecordingError: A line cannot be read, or the file cannot.
    """
    frames = _timed(path)
    for frame in frames:
        raw, dollars = _in_dollars(frame)
        yield frame._replace(raw=raw)
        if dollars:
            break
    yield from frames


def _timed(path: Path) -> Iterator[RecordedFrame]:
    """Frames with their receive time; bare ones take the exchange's time, or the next known."""
    untimed: list[RecordedFrame] = []
    try:
        yield from _with_times(path, untimed)
    except RecordingCut:
        yield from untimed
        raise
    yield from untimed


def _with_times(path: Path, untimed: list[RecordedFrame]) -> Iterator[RecordedFrame]:
    """The frames whose time is known by now; `untimed` holds those that still wait."""
    untimed_bytes = last_ms = 0
    for number, text, line in _lines(path):
        if line.event and line.recv_ms is not None:
            yield RecordedFrame(int(line.recv_ms), bytes(line.event), number, path)
        elif line.raw is not None and line.recv_ts_ns is not None:
            yield RecordedFrame(line.recv_ts_ns // NS_PER_MS, line.raw.encode(), number, path)
        elif line.type is not None:
            frame = RecordedFrame(0, text, number, path)
            last_ms = max(last_ms, _exchange_ms(frame))
            untimed.append(frame)
            untimed_bytes += len(text)
            if last_ms or untimed_bytes > MAX_UNTIMED:
                yield from (f._replace(recv_ms=last_ms) for f in untimed)
                untimed.clear()
                untimed_bytes = 0
        elif line.recorder is None:
            raise RecordingError(path, number, "neither a frame nor a recorder's mark")


def _exchange_ms(recorded: RecordedFrame) -> int:
    msg = recorded.frame.msg
    try:
        return exchange_ms(getattr(msg, "ts_ms", None), getattr(msg, "ts", None))
    except WireError as error:
        raise RecordingError(recorded.path, recorded.line, str(error)) from None


def read_marks(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The recorder's own marks of one file.

    Yields:
        (name, facts).

    Raises:
        RecordingError: As of `read_frames`.
    """
    for _, _, line in _lines(path):
        if line.recorder is not None:
            yield line.recorder, line.info or {}


def _in_dollars(frame: RecordedFrame) -> tuple[bytes, bool]:
    """(the frame in dollars, whether its file is known to be in dollars already)."""
    try:
        event = decode(_event, frame.raw, "not a frame")
    except WireError as error:
        raise RecordingError(frame.path, frame.line, str(error)) from None
    kind, msg = event.get("type"), event.get("msg")
    if kind not in ("orderbook_snapshot", "orderbook_delta") or not isinstance(msg, dict):
        return frame.raw, False
    if {"price_dollars", "yes_dollars_fp", "no_dollars_fp"} & msg.keys():
        return frame.raw, True
    if not {"price", "yes", "no"} & msg.keys():
        return frame.raw, False
    try:
        event["msg"] = _rewritten(msg)
        return msgspec.json.encode(event), False
    except (KeyError, TypeError, AttributeError, *UNREADABLE) as error:
        what = f"{kind} in cents: {type(error).__name__} {reason_of(error)}"
        raise RecordingError(frame.path, frame.line, what) from None


def _rewritten(msg: dict[str, Any]) -> dict[str, Any]:
    """A payload of the integer-cent protocol with today's fields."""
    old = {"price", "delta", "yes", "no"}
    new = {k: v for k, v in msg.items() if k not in old}
    for leg in ("yes", "no"):
        if msg.get(leg):
            new[f"{leg}_dollars_fp"] = [[_cents(p), _contracts(c)] for p, c in msg[leg]]
    if "price" in msg:
        new |= {"price_dollars": _cents(msg["price"]), "delta_fp": _contracts(msg["delta"])}
    return new


def _cents(price: int) -> str:
    return format_price(price * CENT_E4)


def _contracts(count: int) -> str:
    return format_count(count * CONTRACT_E2)
