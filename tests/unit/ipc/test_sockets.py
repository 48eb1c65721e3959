"""Publishers, subscribers, pushers and pullers over real ZeroMQ: what is lost is counted."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from ipc import sockets
from ipc.endpoints import ENDPOINTS, address, socket_folder
from ipc.messages import SCHEMA_VERSION, Doorbell
from ipc.sockets import Publisher, Puller, Pusher, SchemaError, Subscriber, ready_topic

NOWHERE: dict[str, str] = {}


@pytest.fixture
def context() -> Iterator[zmq.asyncio.Context]:
    found = zmq.asyncio.Context()
    yield found
    found.destroy(linger=0)


async def taken(pusher: Pusher, stream: str) -> None:
    """Until the puller is there and takes a message."""
    sent = False
    while not sent:
        await asyncio.sleep(0.01)
        sent = pusher.send(Doorbell(stream=stream))


async def joined(publisher: Publisher, subscriber: Subscriber) -> None:
    """Until the subscriber hears the publisher."""
    while True:
        publisher.send("hello", Doorbell(stream="hello"))
        await asyncio.sleep(0.01)
        if subscriber.recv_waiting():
            return


async def test_a_message_arrives_with_its_topic(
    context: zmq.asyncio.Context, tmp_path: Path
) -> None:
    publisher = Publisher(context, "collector", tmp_path, NOWHERE, 1)
    subscriber = Subscriber(context, ["collector"], tmp_path, NOWHERE)
    await joined(publisher, subscriber)
    publisher.send("trigger", Doorbell(stream="x"))
    assert await subscriber.recv() == ("trigger", Doorbell(stream="x"))
    assert subscriber.gaps == 0
    publisher.close()
    subscriber.close()


async def test_what_did_not_arrive_is_counted_per_run(
    context: zmq.asyncio.Context, tmp_path: Path
) -> None:
    publisher = Publisher(context, "collector", tmp_path, NOWHERE, 1)
    subscriber = Subscriber(context, ["collector"], tmp_path, NOWHERE)
    await joined(publisher, subscriber)
    publisher.sent += 3  # as if three had been dropped
    publisher.send("trigger", Doorbell(stream="x"))
    await subscriber.recv()
    assert subscriber.gaps == 3
    publisher.close()
    publisher = Publisher(context, "collector", tmp_path, NOWHERE, 2)  # another life, from 1 on
    await joined(publisher, subscriber)
    assert subscriber.gaps == 3
    publisher.close()
    subscriber.close()


async def test_a_publisher_learns_what_is_asked_for_and_by_whom_no_more(
    context: zmq.asyncio.Context, tmp_path: Path
) -> None:
    publisher = Publisher(context, "collector", tmp_path, NOWHERE, 1)
    subscriber = Subscriber(context, ["collector"], tmp_path, NOWHERE)
    await joined(publisher, subscriber)
    topic = ready_topic("s-1")
    assert not publisher.is_asked_for(topic)
    subscriber.ask_for(topic)
    while not publisher.is_asked_for(topic):  # noqa: ASYNC110  ZeroMQ tells no earlier
        await asyncio.sleep(0.01)
    assert not publisher.is_asked_for(ready_topic("s-2"))
    subscriber.close()
    while publisher.is_asked_for(topic):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    publisher.close()


async def test_another_schema_is_refused_with_both_versions(
    context: zmq.asyncio.Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    puller = Puller(context, "intents", tmp_path, NOWHERE)
    pusher = Pusher(context, "intents", tmp_path, NOWHERE, 1)
    with monkeypatch.context() as patched:
        patched.setattr(sockets, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        await taken(pusher, "x")
    says = f"schema {SCHEMA_VERSION + 1}, this program reads {SCHEMA_VERSION}"
    with pytest.raises(SchemaError, match=says):
        await puller.recv()
    pusher.close()
    puller.close()


async def test_without_a_puller_a_push_is_refused_and_counted(
    context: zmq.asyncio.Context, tmp_path: Path
) -> None:
    pusher = Pusher(context, "intents", tmp_path, NOWHERE, 1)
    assert [pusher.send(Doorbell(stream="x")) for _ in range(3)] == [False] * 3
    assert pusher.refused == 3
    puller = Puller(context, "intents", tmp_path, NOWHERE)
    await taken(pusher, "y")
    assert await puller.recv() == Doorbell(stream="y"), "nothing waited for a puller"
    pusher.close()
    puller.close()


async def test_a_full_queue_refuses_and_what_was_taken_arrives_in_order(
    context: zmq.asyncio.Context, tmp_path: Path
) -> None:
    puller = Puller(context, "intents", tmp_path, NOWHERE)
    pusher = Pusher(context, "intents", tmp_path, NOWHERE, 1)
    await taken(pusher, "0")
    sent = 1
    while pusher.send(Doorbell(stream=str(sent))):
        sent += 1
        assert sent < 100_000, "a queue without a bound"
    assert sent >= ENDPOINTS["intents"].high_water_mark
    arrived = [await puller.recv() for _ in range(sent)]
    assert arrived == [Doorbell(stream=str(n)) for n in range(sent)]
    pusher.close()
    puller.close()


def test_an_address_may_be_replaced_and_a_long_path_is_kept_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert address("intents", tmp_path, {"RL_ENDPOINT_INTENTS": "tcp://h:1"}) == "tcp://h:1"
    assert address("intents", tmp_path, NOWHERE) == f"ipc://{tmp_path}/sockets/intents.sock"
    deep = tmp_path / ("x" * 100)
    with tempfile.TemporaryDirectory() as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        assert len(str(socket_folder(deep))) < 80
        assert socket_folder(deep) != socket_folder(deep / "y")
    with pytest.raises(KeyError):
        address("nothing", tmp_path, NOWHERE)
