"""Recorded WebSocket traffic of any known form, line by line, as frames of today's protocol.

Forms of a line: `{"recv_ms", "event"}`, `{"recv_ts_ns", "raw"}`, a bare frame (its receive time is
then the exchange's), and the recorder's own marks `{"recv_ms", "recorder", "info"}`, which are
skipped. Frames of the integer-cent protocol of 2025 are rewritten in dollars.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from ipc.errors import KalshiActorError
from ipc.units import format_count, format_price
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.normalise import exchange_ms
from processes.adapters.kalshi.schemas.frames import Frame, decode_frame

__all__ = [
    "SUFFIXES",
    "RecordedFrame",
    "RecordingError",
    "read_frames",
    "read_marks",
    "recording_files",
]

SUFFIXES: Final = (".ndjson.gz", ".jsonl.gz", ".ndjson", ".jsonl")
REST_PREFIX: Final = "rest_"  # replies recorded beside the frames
BUFFER: Final = 1 << 20  # bytes
CENT_E4: Final = 100
CONTRACT_E2: Final = 100


class RecordingError(KalshiActorError, ValueError):
    """A recording that cannot be read: which file, which line, what is wrong."""

    def __init__(self, path: Path, line: int, what: str) -> None:
        super().__init__(f"{path}:{line}: {what}" if line else f"{path}: {what}")


class RecordedFrame(NamedTuple):
    """One frame: receive time in Unix ms, the frame's bytes, where it stands."""

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

    recv_ms: float | None = None
    event: msgspec.Raw = msgspec.Raw()
    recv_ts_ns: int | None = None
    raw: str | None = None
    type: str | None = None
    recorder: str | None = None
    info: dict[str, Any] | None = None


_line: Final = msgspec.json.Decoder(_Line)


def recording_files(path: Path) -> list[Path]:
    """A recording, or all of a folder by name; `RecordingError` when there is none."""
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
    number = 0
    try:
        with _open(path) as file:
            for number, text in enumerate(file, 1):
                if len(text) > 1:
                    yield number, text, _line.decode(text)
    except msgspec.MsgspecError as error:
        raise RecordingError(path, number, f"not a recorded line: {error}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RecordingError(path, number + 1, f"damaged compression: {error}") from None
    except OSError as error:
        raise RecordingError(path, 0, f"cannot be read: {error.strerror}") from None


def _open(path: Path) -> IO[bytes]:
    if path.suffix != ".gz":
        return open(path, "rb", buffering=BUFFER)
    return io.BufferedReader(gzip.GzipFile(path), BUFFER)


def read_frames(path: Path) -> Iterator[RecordedFrame]:
    """All frames of one file, in order, without holding them."""
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
    last_ms = 0
    for number, text, line in _lines(path):
        if line.event and line.recv_ms is not None:
            yield RecordedFrame(int(line.recv_ms), bytes(line.event), number, path)
        elif line.raw is not None and line.recv_ts_ns is not None:
            yield RecordedFrame(line.recv_ts_ns // 1_000_000, line.raw.encode(), number, path)
        elif line.type is not None:
            frame = RecordedFrame(0, text, number, path)
            last_ms = max(last_ms, _exchange_ms(frame.frame))
            untimed.append(frame)
            if last_ms:
                yield from (f._replace(recv_ms=last_ms) for f in untimed)
                untimed.clear()
        elif line.recorder is None:
            raise RecordingError(path, number, "neither a frame nor a recorder's mark")
    yield from untimed


def _exchange_ms(frame: Frame) -> int:
    msg = frame.msg
    return exchange_ms(getattr(msg, "ts_ms", None), getattr(msg, "ts", None))


def read_marks(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The recorder's own marks: (name, facts)."""
    for _, _, line in _lines(path):
        if line.recorder is not None:
            yield line.recorder, line.info or {}


def _in_dollars(frame: RecordedFrame) -> tuple[bytes, bool]:
    """(the frame in dollars, whether its file is known to be in dollars already)."""
    event = msgspec.json.decode(frame.raw)
    kind, msg = event.get("type"), event.get("msg")
    if kind not in ("orderbook_snapshot", "orderbook_delta") or not isinstance(msg, dict):
        return frame.raw, False
    if {"price_dollars", "yes_dollars_fp", "no_dollars_fp"} & msg.keys():
        return frame.raw, True
    if not {"price", "yes", "no"} & msg.keys():
        return frame.raw, False
    try:
        event["msg"] = _rewritten(msg)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(frame.path, frame.line, f"{kind} in cents: {error!r}") from None
    return msgspec.json.encode(event), False


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
