from __future__ import annotations

import asyncio

import zmq.asyncio

from ipc.journal import FramedReader, RunJournal, stream_folder
from ipc.messages import Doorbell, Environment, SessionEnded, SessionStarted, Tick
from ipc.sockets import Bell, Puller, Pusher

UID = "20260805T160000-00000a11"
STARTED = SessionStarted(
    session_uid=UID, environment=Environment.SIMULATED, websocket_url="ws://x", started_ns=1
)


def tick(event_no: int) -> Tick:
    return Tick(session_uid="c-1", market_ticker="A", event_no=event_no, recv_ns=2, history=3)


def read(data_dir):
    return FramedReader(stream_folder(data_dir, "inference", UID)).read(0)[0]


def test_a_stream_begins_and_ends_with_its_marks(tmp_path):
    journal = RunJournal(tmp_path, "inference", STARTED, 1 << 20)
    assert read(tmp_path) == [STARTED]
    assert journal.append(tick(1), tick(2))
    journal.end(9, 2)
    assert read(tmp_path) == [STARTED, tick(1), tick(2), SessionEnded(ended_ns=9, event_no=2)]


def test_a_refused_heading_goes_with_the_first_record_that_is_accepted(tmp_path):
    journal = RunJournal(tmp_path, "inference", STARTED, 8)
    assert read(tmp_path) == []
    assert not journal.append(tick(1))
    journal._writer._max_bytes = 1 << 20  # the disk has room again
    assert journal.append(tick(2))
    assert journal.append(tick(3))
    assert read(tmp_path) == [STARTED, tick(2), tick(3)]


def test_a_full_journal_takes_all_of_a_batch_or_nothing(tmp_path):
    journal = RunJournal(tmp_path, "inference", STARTED, 600)
    accepted = 0
    while journal.append(tick(accepted), tick(accepted)):
        accepted += 1
    assert read(tmp_path) == [STARTED, *(tick(i // 2) for i in range(2 * accepted))]


def test_room_comes_back_when_the_recorder_removed_what_it_read(tmp_path):
    journal = RunJournal(tmp_path, "inference", STARTED, 2_000)
    while journal.append(tick(1)):
        pass
    reader = FramedReader(stream_folder(tmp_path, "inference", UID))
    _, position = reader.read(0)
    assert reader.remove_before(position) > 0
    assert journal.append(tick(2))


async def test_the_bell_rings_at_once_then_at_most_once_a_pause(tmp_path):
    context = zmq.asyncio.Context()
    puller = Puller(context, "doorbell", tmp_path, {})
    pusher = Pusher(context, "doorbell", tmp_path, {}, 1)
    bell = Bell(pusher, f"inference/{UID}")
    while not pusher.send(Doorbell(stream="until connected")):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await puller.recv()
    for _ in range(100):
        bell.ring()
    rings = [await puller.recv(), await puller.recv()]
    assert rings == [Doorbell(stream=f"inference/{UID}")] * 2
    assert pusher._number == 1 + 2
    bell.close()
    puller.close()
    context.term()
