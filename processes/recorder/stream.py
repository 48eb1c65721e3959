"""One producer's run: from its journals into the tables, rows and place in one transaction."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ipc.journal import EventReader, FramedReader, JournalError
from ipc.messages import (
    MarketListed,
    MarketResult,
    Message,
    SessionEnded,
    SessionMark,
    SessionStarted,
    encode,
)
from processes.adapters.postgres.new_session import create_session
from processes.adapters.postgres.packed_events import copy_events, encode_events, unfit
from processes.adapters.postgres.queries import load_queries
from processes.recorder.market_rows import MarketRows
from processes.recorder.records import TABLES, columns_of, row_of
from processes.recorder.rejected import Rejected, sift
from processes.runtime.log import Log

__all__ = ["EVENT_BATCH", "FINISHED", "MARK_BATCH", "SESSION_PRODUCER", "Stream"]

EVENT_BATCH: Final = 10_000  # rows of one transaction; 1 MB on the wire
MARK_BATCH: Final = 2_000
SETTLE_TIMEOUT: Final = 3_600.0  # seconds; counting and sealing read a session's every row
SESSION_PRODUCER: Final = "collector"  # its run is what everything else calls "the session"
FINISHED: Final = ".finished-"  # prefix of a folder that is only to be deleted
_SQL: Final = load_queries("recorder.sql")


class Stream:
    """A folder of journals and how far it is in the database.

    What is in memory is a copy of what the database said; after a lost connection make a new one.
    """

    def __init__(
        self, producer: str, uid: str, folder: Path, counters: Counter[str], log: Log
    ) -> None:
        self.name = f"{producer}/{uid}"
        self.folder = folder
        self._producer = producer
        self._uid = uid
        self._counters = counters
        self._log = log
        self._marks = FramedReader(folder)
        self._events = EventReader(folder)
        self._marks_at = 0
        self._events_at = 0
        self._stream_id: int | None = None
        self._session_id: int | None = None
        self._closed = False
        self._rows = MarketRows()

    async def load(self, connection: Any) -> None:
        """Learn from the database how far an earlier recorder came."""
        for journal in ("events", "marks"):
            await connection.execute(_SQL["make_offset"], self.name, journal)
        self._events_at, _ = await self._lock(connection, "events")
        self._marks_at, _ = await self._lock(connection, "marks")
        found = await connection.fetchrow(_SQL["find_stream"], self.name)
        if found is None:
            return
        self._stream_id, self._session_id = found["stream_id"], found["session_id"]
        self._closed = found["status"] == "closed"
        if self._session_id is not None:
            for row in await connection.fetch(_SQL["listed_markets"], self._session_id):
                self._rows.add(*row)

    async def pump(self, connection: Any) -> int:
        """Record what has been accepted by now; -> records. `JournalError` for a broken journal."""
        available = self._events.count()  # before the marks: a row is listed before its events
        return await self._pump_marks(connection) + await self._pump_events(connection, available)

    async def _pump_marks(self, connection: Any) -> int:
        total = 0
        while True:
            messages, behind = self._marks.read(self._marks_at, MARK_BATCH)
            if not messages:
                return total
            async with connection.transaction():
                place, records = await self._lock(connection, "marks")
                if place != self._marks_at:  # a dying recorder's last batch did get through
                    messages, behind = self._marks.read(place, MARK_BATCH)
                await self._write_marks(connection, messages, records)
                await self._move(connection, "marks", behind, records + len(messages))
            self._marks_at = behind
            self._count("records", len(messages))
            total += len(messages)

    async def _pump_events(self, connection: Any, available: int) -> int:
        total = 0
        while self._events_at < available:
            async with connection.transaction():
                place, _ = await self._lock(connection, "events")
                block = self._events.read(place + 1, min(EVENT_BATCH, available - place))
                if self._session_id is None or not len(block):
                    raise JournalError(f"{self.folder}: {available} events, but no session")
                await self._write_events(connection, block)
                await self._move(connection, "events", place + len(block), place + len(block))
            self._events_at = place + len(block)
            self._count("events", len(block))
            total += len(block)
        return total

    async def _write_events(self, connection: Any, block: npt.NDArray[np.void]) -> None:
        """What fits goes in; what does not, by our check or the server's, is set aside."""
        session_id, markets = self._session_id or 0, self._rows.of(block)
        rejected = Rejected(connection, self.name, "events")
        for i, reason in unfit(block, markets):
            rejected.add(int(block["event_no"][i]), reason, block[i].tobytes())
        fits = np.ones(len(block), np.bool_)
        fits[rejected.indices_of(block["event_no"])] = False
        events, markets = block[fits], markets[fits]

        async def write(start: int, stop: int) -> None:
            data = encode_events(events[start:stop], session_id, markets[start:stop])
            await copy_events(connection, session_id, data)

        for i, reason in await sift(connection, len(events), write):
            rejected.add(int(events["event_no"][i]), reason, events[i].tobytes())
        await self._set_aside(rejected)

    async def _set_aside(self, rejected: Rejected) -> None:
        """Keep bad rows with their reasons, and say so in one line."""
        if rejected.rows:
            await rejected.store()
            self._counters["rejected"] += len(rejected.rows)
            _, journal, position, reason, _ = rejected.rows[0]
            found = {"journal": journal, "rows": len(rejected.rows), "first": position}
            self._log("rejected", stream=self.name, **found, reason=reason)

    async def _lock(self, connection: Any, journal: str) -> tuple[int, int]:
        row = await connection.fetchrow(_SQL["lock_offset"], self.name, journal)
        return row["position"], row["records"]

    async def _move(self, connection: Any, journal: str, position: int, records: int) -> None:
        await connection.execute(_SQL["move_offset"], self.name, journal, position, records)

    def _count(self, what: str, number: int) -> None:
        self._counters[what] += number
        self._counters["batches"] += 1

    async def _write_marks(self, connection: Any, messages: list[Message], first: int) -> None:
        """Rows of one batch: what belongs to one table goes in one COPY; a bad one is set aside."""
        numbered = list(enumerate(messages, first))
        if first == 0 and numbered:
            await self._open(connection, numbered.pop(0)[1])
        if self._stream_id is None:
            raise JournalError(f"{self.folder}: records without a beginning")
        rejected = Rejected(connection, self.name, "marks")
        for number, message in (entry for entry in numbered if type(entry[1]) not in TABLES):
            await self._note_or_reject(connection, message, number, rejected)
        tabled = [entry for entry in numbered if type(entry[1]) in TABLES]
        tabled.sort(key=lambda entry: TABLES[type(entry[1])])  # stable: in order within a table
        for _, group in itertools.groupby(tabled, key=lambda entry: type(entry[1])):
            await self._write_table(connection, list(group), self._stream_id, rejected)
        await self._set_aside(rejected)

    async def _note_or_reject(
        self, connection: Any, message: Message, number: int, rejected: Rejected
    ) -> None:
        async def note(_start: int, _stop: int) -> None:
            await self._note(connection, message, number)

        for _, reason in await sift(connection, 1, note):
            rejected.add(number, reason, encode(message))

    async def _write_table(
        self,
        connection: Any,
        entries: list[tuple[int, Message]],
        stream_id: int,
        rejected: Rejected,
    ) -> None:
        kind = type(entries[0][1])

        async def write(start: int, stop: int) -> None:
            rows = [row_of(message, stream_id, number) for number, message in entries[start:stop]]
            await connection.copy_records_to_table(
                TABLES[kind], records=rows, columns=columns_of(kind)
            )

        for i, reason in await sift(connection, len(entries), write):
            number, message = entries[i]
            rejected.add(number, reason, encode(message))

    async def _open(self, connection: Any, message: Message) -> None:
        if not isinstance(message, SessionStarted):
            raise JournalError(
                f"{self.folder}: begins with {type(message).__name__}, not SessionStarted"
            )
        facts = (str(message.environment), message.websocket_url, message.started_ns)
        self._stream_id = await connection.fetchval(_SQL["open_stream"], self.name, *facts)
        if self._producer == SESSION_PRODUCER:
            environment, url, started_ns = facts
            self._session_id = await create_session(
                connection,
                (),  # each is named when it is listed
                url,
                environment,
                session_uid=self._uid,
                started_ns=started_ns,
                log=self._log,
            )

    async def _note(self, connection: Any, message: Message, number: int) -> None:
        """What a stream says about itself."""
        if isinstance(message, MarketListed) and self._session_id is not None:
            await self._list(connection, message)
        elif isinstance(message, MarketResult) and self._session_id is not None:
            await self._keep_result(connection, message)
        elif isinstance(message, SessionMark) and self._session_id is not None:
            await self._mark(connection, message, number)
        elif isinstance(message, SessionEnded):
            await connection.execute(_SQL["close_stream"], self._stream_id, message.ended_ns)
            if self._session_id is not None:
                await connection.execute(_SQL["close_session"], self._session_id, message.ended_ns)
            self._closed = True
        else:
            raise JournalError(
                f"{self.folder}: record {number} is a {type(message).__name__}, "
                "which no table takes"
            )

    async def _list(self, connection: Any, m: MarketListed) -> None:
        market_id = await connection.fetchval(_SQL["market_id"], m.market_ticker)
        ranges = [list(r) for r in m.price_ranges]
        await connection.execute(
            _SQL["list_market"],
            *(self._session_id, m.row, m.from_event_no, market_id, ranges, m.open_ms, m.close_ms),
        )
        await connection.execute(_SQL["name_market"], self._session_id, m.market_ticker)
        self._rows.add(m.row, m.from_event_no, market_id)

    async def _keep_result(self, connection: Any, m: MarketResult) -> None:
        market_id = await connection.fetchval(_SQL["market_id"], m.market_ticker)
        word = m.result, m.yes_value_e4, m.determined_ms, m.settled_ms, m.reported_ns
        await connection.execute(_SQL["keep_result"], self._session_id, market_id, *word)

    async def _mark(self, connection: Any, m: SessionMark, number: int) -> None:
        market_id = m.market_ticker and await connection.fetchval(
            _SQL["market_id"], m.market_ticker
        )
        await connection.execute(
            _SQL["add_mark"],
            *(self._session_id, number, str(m.kind), market_id, m.event_no, m.ts_ns, m.detail),
        )

    def tidy(self) -> int:
        """Delete files whose every record is in the database; how many went."""
        return self._events.remove_before(self._events_at + 1) + self._marks.remove_before(
            self._marks_at
        )

    async def finish(self, connection: Any) -> bool:
        """Settle and delete a stream whose writer is gone and that is recorded to its end."""
        if not self._marks.writer_is_dead() or await self.pump(connection):
            return False
        if self._stream_id is not None:
            await self._settle(connection)
        self.close()
        finished = self.folder.parent.parent / f"{FINISHED}{self._producer}-{self._uid}"
        self.folder.rename(finished)  # at once: half a folder would be a broken stream
        shutil.rmtree(finished)
        return True

    async def _settle(self, connection: Any) -> None:
        """Say how the stream ended, count what it left, give its events their last index."""
        patience: dict[str, Any] = {"timeout": SETTLE_TIMEOUT}
        session_id = self._session_id
        async with connection.transaction():
            if not self._closed:
                ended = session_id and await connection.fetchval(
                    _SQL["last_sign"], session_id, **patience
                )
                await connection.execute(_SQL["fail_stream"], self._stream_id, ended)
                await connection.execute(_SQL["fail_session"], session_id, ended)
            if session_id is not None:
                await connection.execute(_SQL["count_session"], session_id, **patience)
                await connection.execute(_SQL["seal_events"], session_id, **patience)

    @property
    def behind(self) -> int:
        """Accepted events that are not in the database yet."""
        return max(0, self._events.count() - self._events_at)

    def close(self) -> None:
        """Unmap the journals."""
        self._events.close()
