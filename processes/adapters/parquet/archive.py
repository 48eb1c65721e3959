"""A session's events as one Parquet file: zstd over delta encodings, in the order of their numbers.

Any Parquet reader understands the columns; the file's own metadata holds what else is known of the
session. A file is written aside, synced, and only then gets its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from ipc.errors import KalshiActorError
from ipc.journal import EVENT, Kind
from ipc.private_files import create_file, private_folder
from processes.runtime.config import ConfigError

__all__ = [
    "HEADER_KEY",
    "ArchiveError",
    "ArchiveWriter",
    "read_blocks",
    "read_events",
    "read_header",
]

HEADER_KEY: Final = b"kalshi_actor_session"
LEVEL: Final = 9  # of zstd; 19 takes ten times as long for 2 %
_DELTA: Final = ("event_no", "recv_ns", "exch_ms", "seq")
_NAMES: Final = {  # column -> field of EVENT; `market_id` is beside it
    "event_no": "event_no",
    "recv_ns": "recv_ns",
    "exch_ms": "exch_ms",
    "seq": "seq",
    "qty_e2": "count_e2",
    "price_e4": "price_e4",
    "kind": "kind",
    "side": "leg",
}
MARKET: Final = "market_id"
_RANGES: Final = {  # what compiled code and arrays indexed by these values can take
    "event_no": (1, 2**40 - 1),
    "recv_ns": (0, 2**63 - 1),
    "exch_ms": (0, 2**53),
    "price_e4": (0, 2**14 - 1),
    "kind": (min(Kind), max(Kind)),
    "side": (0, 1),
    MARKET: (1, 2**28 - 1),
}

Events = npt.NDArray[np.void]
Markets = npt.NDArray[np.int32]


class ArchiveError(KalshiActorError, ValueError):
    """A file that is not a session's archive, or not a whole one."""


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            "Parquet archives need pyarrow, which is not installed; "
            "allowed: pip install --constraint constraints.txt '.[archive]'"
        ) from None
    return pyarrow, pyarrow.parquet


class ArchiveWriter:
    """Writes one archive block by block; an error leaves no file behind.

    A context manager: on a clean exit the file is synced and gets its name, and what it replaces is
    gone only then.

    Args:
        path: The archive; its folder is made when missing.
        header: What else is known of the session, kept in the file's own metadata.

    Raises:
        ConfigError: pyarrow is not installed.
    """

    def __init__(self, path: Path, header: bytes) -> None:
        self._arrow, parquet = _pyarrow()
        if not path.parent.exists():
            private_folder(path.parent)
        self._path, self._aside = path, path.with_name(path.name + ".part")
        self._aside.unlink(missing_ok=True)  # of one that was killed
        self._file = os.fdopen(create_file(self._aside, os.O_WRONLY), "wb")
        types = {name: EVENT[field] for name, field in _NAMES.items()} | {MARKET: np.dtype("i4")}
        fields = [(name, self._arrow.from_numpy_dtype(kind)) for name, kind in types.items()]
        self._schema = self._arrow.schema(fields, {HEADER_KEY: header})
        self._writer = parquet.ParquetWriter(
            self._file,
            self._schema,
            compression="zstd",
            compression_level=LEVEL,
            use_dictionary=[name for name in types if name not in _DELTA],
            column_encoding=dict.fromkeys(_DELTA, "DELTA_BINARY_PACKED"),
        )

    def write(self, events: Events, markets: Markets) -> None:
        """Write a block, which becomes a row group.

        Args:
            events: Array of `EVENT`, in order of their numbers.
            markets: int32, the market id of each.
        """
        columns = [np.ascontiguousarray(events[field]) for field in _NAMES.values()]
        arrays = [self._arrow.array(column) for column in (*columns, markets)]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._file.close()
        if kind is not None:
            self._aside.unlink(missing_ok=True)
            return
        _sync(self._aside)
        self._aside.replace(self._path)
        _sync(self._path.parent)


def _sync(path: Path) -> None:
    """The rows in the database may go once this has returned."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _opened(path: Path) -> Any:
    arrow, parquet = _pyarrow()
    try:
        file = parquet.ParquetFile(path)
    except (OSError, arrow.ArrowException) as error:
        raise ArchiveError(f"{path}: cannot be read as an archive: {error}") from None
    wanted = {*_NAMES, MARKET}
    schema = file.schema_arrow
    if set(schema.names) != wanted or HEADER_KEY not in (file.metadata.metadata or {}):
        raise ArchiveError(f"{path}: not the archive of a session")
    for field in schema:
        if not arrow.types.is_integer(field.type):
            raise ArchiveError(f"{path}: {field.name} is {field.type}; allowed: whole numbers")
    return file


def read_header(path: Path) -> bytes:
    """Read what was given to the writer beside the events.

    Raises:
        ArchiveError: The file is no archive, or not a whole one.
        ConfigError: pyarrow is not installed.
    """
    header: bytes = _opened(path).metadata.metadata[HEADER_KEY]
    return header


def read_events(path: Path) -> tuple[Events, Markets]:
    """Read all events of an archive.

    Returns:
        (events as journal records, whose `row` is 0; int32, the market id of each).

    Raises:
        ArchiveError: The file is no archive, not a whole one, or damaged.
        ConfigError: pyarrow is not installed.
    """
    file = _opened(path)
    return _arrays(path, file.read)


def read_blocks(path: Path) -> Iterator[tuple[Events, Markets]]:
    """Read an archive a row group at a time; pieces and errors as of `read_events`."""
    file = _opened(path)
    for number in range(file.num_row_groups):
        yield _arrays(path, file.read_row_group, number)


def _arrays(path: Path, read: Any, *arguments: int) -> tuple[Events, Markets]:
    arrow, _ = _pyarrow()
    try:
        table = read(*arguments)
    except (OSError, arrow.ArrowException) as error:
        raise ArchiveError(f"{path}: damaged: {error}") from None
    events = np.zeros(table.num_rows, EVENT)
    for name, field in _NAMES.items():
        events[field] = _column(path, table, name, EVENT[field])
    return events, _column(path, table, MARKET, np.dtype(np.int32))


def _column(path: Path, table: Any, name: str, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """A column whose every value is within its range, as an array of that kind."""
    column = table.column(name)
    if column.null_count:
        raise ArchiveError(f"{path}: {name} is missing in {column.null_count} rows")
    values: npt.NDArray[Any] = column.to_numpy()
    bounds = np.iinfo(kind)
    low, high = _RANGES.get(name, (bounds.min, bounds.max))
    wrong = np.flatnonzero((values < low) | (values > high))
    if len(wrong):
        raise ArchiveError(
            f"{path}: {name}={values[wrong[0]]} in row {wrong[0]}; allowed: {low} to {high}"
        )
    return values.astype(kind)
