"""One producer's run: from its journals into the tables, rows and place in one transaction."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import numpy as np
import numpy.typing as npt

from ipc.journal import EventReader, FramedReader, JournalError
from ipc.messages import (
    ActorOrder,
    MarketListed,
    MarketResult,
    MarketTerms,
    Message,
    ProgramListed,
    SessionEnded,
    SessionMark,
    SessionStarted,
    encode,
)
from processes.adapters.postgres.new_session import create_session
from processes.adapters.postgres.packed_events import copy_events, encode_events, unfit
from processes.adapters.postgres.queries import load_queries
from processes.recorder.attempts import DatabaseBehindError
from processes.recorder.rows import (
    ROW_FAULTS,
    TABLES,
    MarketRows,
    RejectedRows,
    reduced_order,
    write_halving,
    write_rows,
)
from processes.runtime.log import Log

__all__ = [
    "EVENT_BATCH",
    "FAULTS",
    "FINISHED",
    "RECORD_BATCH",
    "SESSION_PRODUCER",
    "RecordedRun",
    "share_events",
]

EVENT_BATCH: Final = 10_000  # rows of one transaction; 1 MB on the wire
RECORD_BATCH: Final = 2_000
CONCLUDE_TIMEOUT: Final = 3_600.0  # seconds; counting and sealing read a session's every row
SESSION_PRODUCER: Final = "collector"  # its run is what everything else calls "the session"
FINISHED: Final = ".finished-"  # prefix of a folder that is only to be deleted
EVENTS: Final = "events"  # the journals whose offsets are stored, as the column names them
RECORDS: Final = "marks"  # its first name, which the database keeps
SHARED_AT_ONCE: Final = 5  # sessions that ended earlier, moved after another has ended
_SQL: Final = load_queries("recorder.sql")

# What recording a stream may raise while its process is sound; see `fault_of`.
FAULTS: Final = (
    *ROW_FAULTS,
    *(DatabaseBehindError, msgspec.MsgspecError, ValueError),
    *(asyncpg.PostgresError, asyncpg.InterfaceError, OSError),
)


async def share_events(connection: Any) -> None:
    """Move small sessions that could not be moved when they ended."""
    await connection.execute(_SQL["share_events"], SHARED_AT_ONCE)


class RecordedRun:
    """One run of a producer: its folder of journals, and how far they are in the database.

    What is in memory is a copy of what the database holds; after a lost connection make a new one.

    Args:
        producer: the process that writes the journals.
        uid: of its run; the collector's is the session's.
        folder: the journals.
        counters: shared by all runs: records, events, batches, rejected.
        log: one line for rows that are rejected.
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
        self._records = FramedReader(folder)
        self._events = EventReader(folder)
        self._records_at = 0
        self._events_at = 0
        self._stream_id: int | None = None
        self._session_id: int | None = None
        self._is_marked = False  # as ended, in the database
        self._ended_ns: int | None = None  # by its own last record
        self._rows = MarketRows()

    @property
    def begun(self) -> bool:
        """Whether its producer has begun the journal."""
        return self._records.begun

    async def load(self, connection: Any) -> None:
        """Read from the database how far an earlier recorder came.

        Raises:
            DatabaseBehindError: the database's place is before what the journal still holds.
        """
        for journal in (EVENTS, RECORDS):
            await connection.execute(_SQL["make_offset"], self.name, journal)
        self._events_at, _ = await self._lock(connection, EVENTS)
        self._records_at, _ = await self._lock(connection, RECORDS)
        self._check_beginning()
        found = await connection.fetchrow(_SQL["find_stream"], self.name)
        if found is None:
            return
        self._stream_id, self._session_id = found["stream_id"], found["session_id"]
        self._is_marked = found["status"] != "active"
        self._ended_ns = found["ended_ns"]
        if self._session_id is not None:
            for row in await connection.fetch(_SQL["listed_markets"], self._session_id):
                self._rows.add(*row)

    def _check_beginning(self) -> None:
        """The journal must go on where the database ends: its older files are gone for good."""
        event_no, byte = self._events.first(), self._records.first()
        if self._events_at + 1 < event_no or self._records_at < byte:
            raise DatabaseBehindError(
                f"the database has {self.name} up to event {self._events_at} and byte "
                f"{self._records_at} of its records, and {self.folder} begins with event "
                f"{event_no} and byte {byte}: it was made new, or restored to an earlier moment; "
                "bring back the database that had them, or move that folder away"
            )

    async def pump(self, connection: Any) -> int:
        """Store what the journals hold by now -> the number of records and events stored.

        Every batch is one transaction: its rows and the place in the journal.

        Raises:
            JournalError: the journal is broken, or does not begin as one.
        """
        available = self._events.count()  # before the records: a row is listed before its events
        return await self._pump_records(connection) + await self._pump_events(connection, available)

    async def _pump_records(self, connection: Any) -> int:
        total = 0
        while True:
            messages, behind = self._records.read(self._records_at, RECORD_BATCH)
            if not messages:
                return total
            async with connection.transaction():
                place, records = await self._lock(connection, RECORDS)
                if place != self._records_at:  # an earlier recorder's last batch was committed
                    messages, behind = self._records.read(place, RECORD_BATCH)
                await self._write_records(connection, messages, records)
                await self._move(connection, RECORDS, behind, records + len(messages))
            self._records_at = behind
            self._count("records", len(messages))
            total += len(messages)

    async def _pump_events(self, connection: Any, available: int) -> int:
        total = 0
        while self._events_at < available:
            async with connection.transaction():
                place, _ = await self._lock(connection, EVENTS)
                block = self._events.read(place + 1, min(EVENT_BATCH, available - place))
                if self._session_id is None or not len(block):
                    raise JournalError(f"{self.folder}: {available} events, but no session")
                await self._write_events(connection, block)
                await self._move(connection, EVENTS, place + len(block), place + len(block))
            self._events_at = place + len(block)
            self._count("events", len(block))
            total += len(block)
        return total

    async def _write_events(self, connection: Any, block: npt.NDArray[np.void]) -> None:
        """Store the events; those that our check or the server refuses are set aside."""
        session_id, markets = self._session_id or 0, self._rows.of(block)
        rejected = RejectedRows(connection, self.name, EVENTS)
        for i, reason in unfit(block, markets):
            rejected.add(int(block["event_no"][i]), reason, block[i].tobytes())
        fits = np.ones(len(block), np.bool_)
        fits[rejected.indices_of(block["event_no"])] = False
        events, markets = block[fits], markets[fits]

        async def write(start: int, stop: int) -> None:
            data = encode_events(events[start:stop], session_id, markets[start:stop])
            await copy_events(connection, session_id, data)

        for i, reason in await write_halving(connection, len(events), write):
            rejected.add(int(events["event_no"][i]), reason, events[i].tobytes())
        await self._set_aside(rejected)

    async def _set_aside(self, rejected: RejectedRows) -> None:
        """Store rejected rows with their reasons; one log line."""
        if rejected.rows:
            await rejected.store()
            self._counters["rejected"] += len(rejected.rows)
            _, journal, position, reason, _ = rejected.rows[0]
            found = {"journal": journal, "rows": len(rejected.rows), "first": position}
            self._log.error("rows_rejected", stream=self.name, **found, error=reason)

    async def _lock(self, connection: Any, journal: str) -> tuple[int, int]:
        row = await connection.fetchrow(_SQL["lock_offset"], self.name, journal)
        return row["position"], row["records"]

    async def _move(self, connection: Any, journal: str, position: int, records: int) -> None:
        await connection.execute(_SQL["move_offset"], self.name, journal, position, records)

    def _count(self, what: str, number: int) -> None:
        self._counters[what] += number
        self._counters["batches"] += 1

    async def _write_records(self, connection: Any, messages: list[Message], first: int) -> None:
        """Rows of one batch: what belongs to one table goes in one COPY; a bad one is set aside."""
        numbered = list(enumerate(messages, first))
        if first == 0 and numbered:
            await self._open(connection, numbered.pop(0)[1])
        if self._stream_id is None:
            raise JournalError(f"{self.folder}: records without a beginning")
        rejected = RejectedRows(connection, self.name, RECORDS)
        for number, message in (entry for entry in numbered if type(entry[1]) not in TABLES):
            await self._store_or_reject(connection, message, number, rejected)
        tabled = [entry for entry in numbered if type(entry[1]) in TABLES]
        tabled.sort(key=lambda entry: TABLES[type(entry[1])])  # stable: in order within a table
        for _, group in itertools.groupby(tabled, key=lambda entry: type(entry[1])):
            await self._write_table(connection, list(group), self._stream_id, rejected)
        await self._set_aside(rejected)

    async def _store_or_reject(
        self, connection: Any, message: Message, number: int, rejected: RejectedRows
    ) -> None:
        async def store(_start: int, _stop: int) -> None:
            await self._store(connection, message, number)

        for _, reason in await write_halving(connection, 1, store):
            rejected.add(number, reason, encode(message))

    async def _write_table(
        self,
        connection: Any,
        entries: list[tuple[int, Message]],
        stream_id: int,
        rejected: RejectedRows,
    ) -> None:
        kind = type(entries[0][1])

        async def write(start: int, stop: int) -> None:
            known = await write_rows(connection, stream_id, kind, entries[start:stop])
            if known:
                self._counters["duplicates"] += known
                await connection.execute(_SQL["count_duplicates"], stream_id, known)

        for i, reason in await write_halving(connection, len(entries), write):
            number, message = entries[i]
            rejected.add(number, reason, encode(message))
            if isinstance(message, ActorOrder):
                await self._write_reduced(connection, stream_id, number, message)

    async def _write_reduced(
        self, connection: Any, stream_id: int, number: int, order: ActorOrder
    ) -> None:
        """The state of an order whose record was set aside: else it would stay what it was.

        Where not even that can be stored, its last known state is stored as unknown.
        """
        rows = [(number, reduced_order(order))]

        async def write(_start: int, _stop: int) -> None:
            await write_rows(connection, stream_id, ActorOrder, rows)

        if await write_halving(connection, 1, write):
            name = order.client_order_id.replace("\0", "\ufffd")
            why = f"set aside: record {number} of {self.name} could not be stored"
            await connection.execute(_SQL["unknown_end"], name, stream_id, number, why)

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

    async def _store(self, connection: Any, message: Message, number: int) -> None:
        """A record of the run itself: markets, results, marks, its end."""
        if isinstance(message, MarketListed) and self._session_id is not None:
            await self._list(connection, message)
        elif isinstance(message, MarketResult) and self._session_id is not None:
            await self._keep_result(connection, message)
        elif isinstance(message, MarketTerms) and self._session_id is not None:
            await self._keep_terms(connection, message)
        elif isinstance(message, ProgramListed) and self._session_id is not None:
            await self._keep_program(connection, message)
        elif isinstance(message, SessionMark) and self._session_id is not None:
            await self._mark(connection, message, number)
        elif isinstance(message, SessionEnded):
            await connection.execute(_SQL["note_end"], self._stream_id, message.ended_ns)
            self._ended_ns = message.ended_ns
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
        facts = m.result, m.yes_value_e4, m.determined_ms, m.settled_ms, m.reported_ns
        await connection.execute(_SQL["keep_result"], self._session_id, market_id, *facts)

    async def _keep_terms(self, connection: Any, m: MarketTerms) -> None:
        market_id = await connection.fetchval(_SQL["market_id"], m.market_ticker)
        await connection.execute(_SQL["drop_fees"], self._session_id, market_id)
        for step in m.fees:
            await connection.execute(_SQL["keep_fee"], self._session_id, market_id, *step)

    async def _keep_program(self, connection: Any, m: ProgramListed) -> None:
        market_id = await connection.fetchval(_SQL["market_id"], m.market_ticker)
        facts = (m.kind, m.description, m.start_ms, m.end_ms, m.reward_e6, m.paid_out)
        rule = (m.target_size_e2, m.discount_bps, m.most_per_account_e6, m.listed_ns)
        known = (self._session_id, m.program_id, market_id, *facts, *rule)
        await connection.execute(_SQL["keep_program"], *known)

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
        return self._events.remove_before(self._events_at + 1) + self._records.remove_before(
            self._records_at
        )

    async def finish(self, connection: Any) -> bool:
        """Conclude and delete a stream whose writer is gone and that is recorded to its end."""
        if not self._records.writer_is_dead() or await self.pump(connection):
            return False
        if self._stream_id is not None:
            await self._conclude(connection)
        self.close()
        finished = self.folder.parent.parent / f"{FINISHED}{self._producer}-{self._uid}"
        self.folder.rename(finished)  # at once: half a folder would be a broken stream
        shutil.rmtree(finished)
        return True

    async def _conclude(self, connection: Any) -> None:
        """Mark the run as ended, count its rows, give its events their final place: all or nothing.

        Only now is everything of it in the database.
        """
        bound: dict[str, Any] = {"timeout": CONCLUDE_TIMEOUT}
        session_id = self._session_id
        async with connection.transaction():
            if not self._is_marked:
                await self._mark_ended(connection)
            if session_id is not None:
                await connection.execute(_SQL["count_session"], session_id, **bound)
                await connection.execute(_SQL["seal_events"], session_id, **bound)

    async def _mark_ended(self, connection: Any) -> None:
        """`closed` by its own last record; `error` when its producer died."""
        if self._ended_ns is not None:
            await connection.execute(_SQL["close_stream"], self._stream_id)
            await connection.execute(_SQL["close_session"], self._session_id, self._ended_ns)
            return
        ended = self._session_id and await connection.fetchval(
            _SQL["last_sign"], self._session_id, timeout=CONCLUDE_TIMEOUT
        )
        await connection.execute(_SQL["fail_stream"], self._stream_id, ended)
        await connection.execute(_SQL["fail_session"], self._session_id, ended)

    @property
    def places(self) -> tuple[int, int]:
        """(events, bytes of other records) that are in the database."""
        return self._events_at, self._records_at

    def close(self) -> None:
        """Unmap the journals."""
        self._events.close()
