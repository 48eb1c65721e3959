"""ZeroMQ hops between two processes: a trigger over PUB/SUB, an intent over PUSH/PULL.

`python -m benchmarks.sockets <hop> <data_dir>` is the receiving end: it prints how long each
message was on its way.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from benchmarks.figures import PACE_HZ, Figure, latencies
from benchmarks.market import MARKET_NS, TICKER
from ipc.clock import mono_ns
from ipc.messages import BookSide, Intent, Leg, Message, Trigger, UpdateType
from ipc.sockets import Context, Publisher, Puller, Pusher, Subscriber
from models.command_line import Parser

__all__ = ["run"]

HOPS: Final = ("trigger", "intent")
SAMPLES: Final = 150
UNHURRIED: Final = 20  # messages before those that count
LIFE: Final = 1

Send = Callable[[], object]


def _trigger() -> Trigger:
    now_ns = mono_ns()
    return Trigger(
        market_ticker=TICKER,
        row=0,
        generation=1,
        update_type=UpdateType.DELTA,
        sequence_number=1,
        event_no=1,
        tick_event_no=1,
        recv_ns=MARKET_NS,
        frame_mono_ns=now_ns,
        written_mono_ns=now_ns,
    )


def _intent() -> Intent:
    now_ns = mono_ns()
    return Intent(
        intent_id="bench-1",
        market_ticker=TICKER,
        action=1,
        action_name="BUY_YES_LIMIT",
        leg=Leg.YES,
        is_buy=True,
        book_side=BookSide.BID,
        price_e4=4_700,
        yes_price_e4=4_700,
        count_e2=1_000,
        deadline_mono_ns=now_ns + 1_000_000_000,
        decided_ns=MARKET_NS,
        session_uid="bench",
        event_no=1,
        account_version=1,
        model="onnx:default",
        frame_mono_ns=now_ns,
        written_mono_ns=now_ns,
        decided_mono_ns=now_ns,
    )


def _sent_ns(message: Message) -> int:
    if not isinstance(message, Trigger | Intent):
        raise TypeError(f"{type(message).__name__} is neither trigger nor intent")
    return message.written_mono_ns


async def _receive(hop: str, data_dir: Path) -> list[int]:
    """How long each message was on its way, once the hop is in its stride."""
    context = Context()
    subscriber = Subscriber(context, ["collector"], data_dir, {}, ["trigger"])
    puller = Puller(context, "intents", data_dir, {})
    taken = []
    for _ in range(UNHURRIED + SAMPLES):
        message = (await subscriber.recv())[1] if hop == "trigger" else await puller.recv()
        taken.append(mono_ns() - _sent_ns(message))
    subscriber.close()
    puller.close()
    context.term()
    return taken[UNHURRIED:]


def _sender(hop: str, context: Context, data_dir: Path) -> tuple[Publisher | Pusher, Send]:
    if hop == "trigger":
        publisher = Publisher(context, "collector", data_dir, {}, LIFE)
        return publisher, lambda: publisher.send("trigger", _trigger())
    pusher = Pusher(context, "intents", data_dir, {}, LIFE)
    return pusher, lambda: pusher.send(_intent())


def _hop(hop: str) -> list[Figure]:
    """Send at the pace until the other process has what it wants."""
    with tempfile.TemporaryDirectory() as name:
        context = Context()
        socket, send = _sender(hop, context, Path(name))
        command = [sys.executable, "-m", "benchmarks.sockets", hop, name]
        receiver = subprocess.Popen(command, stdout=subprocess.PIPE)
        while receiver.poll() is None:
            send()
            time.sleep(1 / PACE_HZ)
        answer, _ = receiver.communicate()
        socket.close()
        context.term()
    if receiver.returncode:
        raise RuntimeError(f"{hop}: the receiver ended with {receiver.returncode}")
    return latencies(f"{hop} sent -> received, paced", msgspec.json.decode(answer, type=list[int]))


def run() -> list[Figure]:
    """Both hops, each with nothing else on its way."""
    return [figure for hop in HOPS for figure in _hop(hop)]


def main(hop: str, data_dir: str) -> None:
    """Receive and say how long it took."""
    taken = uvloop.run(_receive(hop, Path(data_dir)))
    print(msgspec.json.encode(taken).decode())


if __name__ == "__main__":
    parser = Parser(prog="python -m benchmarks.sockets", description=__doc__)
    parser.add_argument("hop", choices=list(HOPS))
    parser.add_argument("data_dir")
    options = parser.parse_args()
    main(options.hop, options.data_dir)
