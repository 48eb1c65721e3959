"""The recorder's loop: every run's journals into the database, for as long as there is one.

A lost database loses nothing: the journals keep what was accepted. A stream that cannot be recorded
now is tried again for as long as it takes, and the others go on meanwhile.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from ipc.clock import mono_ns
from ipc.journal import list_streams
from ipc.messages import ProcessStats
from ipc.sockets import SchemaError
from processes.adapters.postgres.database import LOST
from processes.recorder.attempts import (
    RECONNECT,
    FailedStreams,
    Fault,
    fault_of,
)
from processes.recorder.backlog import Backlog
from processes.recorder.stream import FAULTS, FINISHED, RecordedRun, share_events
from processes.runtime.log import Log
from processes.runtime.owned_files import OwnedFiles
from processes.runtime.tasks import Backoff, serve
from processes.runtime.wires import Wires

__all__ = ["FLUSH_S", "NAME", "Recorder"]

NAME: Final = "recorder"
FLUSH_S: Final = 5.0  # at a stop, while other processes end; the next start records the rest
ROLLBACK_S: Final = 1.0  # after that, for the server to roll back what is not committed
REPORT_S: Final = 0.5  # between two reports of the counters
POLL_S: Final = 0.1  # without a doorbell
PAUSE_S: Final = 0.05  # between rounds, so that rows gather
FINISH_EVERY: Final = 10  # rounds
LOST_BACKOFF: Final = Backoff(0.1, 10.0)

Connect = Callable[[asyncio.Event], Awaitable[Any]]


class Recorder:
    """Follows all journals of a data folder.

    Args:
        data_dir: the data folder.
        connect: waits for the migrated database -> a connection.
        wires: the sockets; closed at the end of `run`.
        log: where this run logs.

    `bell` is set when a journal has grown; `counters` are those of `stats`.
    """

    def __init__(self, data_dir: Path, connect: Connect, wires: Wires, log: Log) -> None:
        self._data_dir = data_dir
        self._connect = connect
        self._wires = wires
        self._doorbell = wires.puller("doorbell")
        self._publisher = wires.publisher(NAME)
        self._log = log
        self._streams: dict[str, RecordedRun] = {}
        self._failed = FailedStreams()
        self._backlog = Backlog(data_dir)
        self._lost_cause = ""  # of the database, "" while it is there
        self._lost_in_a_row = 0
        self._rounds = 0
        self.counters: Counter[str] = Counter()
        self.bell = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set, then for at most `FLUSH_S` more.

        Raises:
            TaskFailed: a task of the run ended or failed.
        """
        tasks = {
            "streams": self._record_until(stop),
            "doorbell": self._listen(),
            "report": self._report(),
            "files": OwnedFiles(self._wires.bound).watch(),
        }
        try:
            await serve(tasks, stop)
        finally:
            self._wires.close()

    async def _record_until(self, stop: asyncio.Event) -> None:
        """Record; after a cancel, up to `FLUSH_S` longer for what the journals still hold."""
        work = asyncio.create_task(self._work(stop), name="streams")
        try:
            await asyncio.wait((work,))
            work.result()
        except asyncio.CancelledError:
            await asyncio.wait((work,), timeout=FLUSH_S)
            if work.done():
                work.result()
                return
            work.cancel()
            await asyncio.wait((work,), timeout=ROLLBACK_S)
            self._log.warning("left_for_next_start", streams=len(self._streams), events=self.behind)
            raise

    async def _listen(self) -> None:
        """A doorbell is only a hint; one that cannot be read is counted."""
        while True:
            try:
                await self._doorbell.recv()
            except (SchemaError, msgspec.MsgspecError):
                self.counters["doorbells_refused"] += 1
            self.bell.set()

    async def _report(self) -> None:
        """Publish the counters, again and again."""
        while True:
            now = mono_ns()
            stats = ProcessStats(process=NAME, mono_ns=now, counters=self._figures(now))
            self._publisher.send("stats", stats)
            await asyncio.sleep(REPORT_S)

    def _figures(self, now_ns: int) -> dict[str, int]:
        """The counters, and how things stand: what is not stored is never silent."""
        self._backlog.look(now_ns)
        return dict(self.counters) | {
            "behind": self._backlog.events,
            "behind_bytes": self._backlog.record_bytes,
            "behind_ms": self._backlog.age_ms(now_ns),
            "database": int(not self._lost_cause and self._rounds > 0),
            "refused_streams": self._failed.number(Fault.STREAM),
            "waiting_streams": self._failed.number(Fault.SERVER),
        }

    @property
    def behind(self) -> int:
        """Accepted events of all streams that are not in the database yet."""
        self._backlog.look(mono_ns())
        return self._backlog.events

    async def _work(self, stop: asyncio.Event) -> None:
        for leftover in (self._data_dir / "journal").glob(f"{FINISHED}*"):
            shutil.rmtree(leftover)
        recorded = False
        while not recorded:
            connection = await self._connect(stop)
            try:
                await self._follow(connection, stop)
                recorded = True
            except LOST as error:
                self._on_lost(error)
            finally:
                self._forget()
                connection.terminate()
            if not recorded:
                await asyncio.sleep(LOST_BACKOFF.after(self._lost_in_a_row))

    def _on_lost(self, error: Exception) -> None:
        """One line when the database goes, and when it fails in another way."""
        self.counters["database_lost"] += not self._lost_cause
        self._lost_in_a_row += bool(self._lost_cause)
        cause = f"{type(error).__name__}: {error}"
        if cause != self._lost_cause:
            self._log.warning("db_lost", error=cause)
        self._lost_cause = cause

    def _on_round(self) -> None:
        """A round came to its end: the database is there."""
        if self._rounds == 1 or self._lost_cause:
            self._log("db_connected")
        self._lost_cause, self._lost_in_a_row = "", 0

    def _forget(self) -> None:
        """The database may have kept less than is known here: read it again."""
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()

    async def _follow(self, connection: Any, stop: asyncio.Event) -> None:
        """Rounds until asked to stop and every stream is recorded to its end."""
        while True:
            stopping = stop.is_set()
            await self._round(connection, stopping)
            if stopping and not self._streams:
                return
            if not stopping:
                await self._wait()
            await asyncio.sleep(PAUSE_S)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self.bell.wait()
        except TimeoutError:
            return
        finally:
            self.bell.clear()

    async def _round(self, connection: Any, stopping: bool) -> None:
        if connection.is_closed():  # seen here while there is nothing to store
            raise ConnectionResetError("the server closed the connection")
        finishing = stopping or (self._rounds + 1) % FINISH_EVERY == 0
        places = {
            f"{producer}/{uid}": (producer, uid, folder)
            for producer, uid, folder in list_streams(self._data_dir)
        }
        self._failed.keep(set(places))
        for name, place in places.items():
            if self._failed.waits(name, asyncio.get_running_loop().time()):
                continue
            try:
                await self._record(connection, name, place, finishing)
            except FAULTS as error:
                if connection.is_closed() or isinstance(error, RECONNECT):
                    raise
                self._on_failure(name, place[2], error)
            else:
                self._on_recorded(name)
        self.counters["streams"] = len(self._streams)
        self._rounds += 1
        self._on_round()

    async def _record(
        self, connection: Any, name: str, place: tuple[str, str, Path], finishing: bool
    ) -> None:
        stream = self._streams.get(name)
        if stream is None:
            stream = RecordedRun(*place, self.counters, self._log)
            if not stream.begun:  # by a producer that is about to, or died before
                return
            await stream.load(connection)
            self._streams[name] = stream
            self._log("stream_followed", stream=name)
        if await stream.pump(connection):
            stream.tidy()
        self._backlog.stored(name, *stream.places)
        if finishing and await stream.finish(connection):
            del self._streams[name]
            self.counters["finished"] += 1
            self._log("stream_finished", stream=name)
            await share_events(connection)

    def _on_recorded(self, name: str) -> None:
        if self._failed.recovered(name):
            self._log("stream_recovered", stream=name)

    def _on_failure(self, name: str, folder: Path, error: Exception) -> None:
        """A line when the cause is another one; the next attempt begins with what is stored."""
        if stream := self._streams.pop(name, None):
            stream.close()
        if not self._failed.note(name, error, asyncio.get_running_loop().time()):
            return
        what = {"stream": name, "folder": folder, "error": f"{type(error).__name__}: {error}"}
        if fault_of(error) is Fault.STREAM:
            self._log.error("stream_refused", **what)
        else:
            self._log.warning("stream_waits", **what)
