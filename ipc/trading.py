"""Commands to trading and their answers, and the socket that carries them: request and reply.

The socket lies among the stack's others, in a folder and with a mode that admit this user alone.
An answer is given at once; what a command sets going (cancels, closing orders) is asked for again
with `STATUS`. Frames are [..., payload], the payload msgpack of the structs here.
"""

from __future__ import annotations

import errno
import os
import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec
import zmq
import zmq.asyncio

from ipc.endpoints import ENDPOINTS, address
from ipc.errors import KalshiActorError
from ipc.messages import Leg, OrderStatus

__all__ = [
    "ANSWER_S",
    "LONGEST_WHY",
    "Answer",
    "CommandRefused",
    "CommandSocket",
    "FlattenTerms",
    "HeldPosition",
    "NoAnswerError",
    "OpenOrderLine",
    "TradingCommand",
    "TradingMode",
    "TradingReport",
    "TradingVerb",
    "ask",
]

ENDPOINT: Final = "commands"
ANSWER_S: Final = 2.0  # seconds within which an execution that works answers
LONGEST_WHY: Final = 500  # characters
LONGEST_USER: Final = 100
LONGEST_COMMAND: Final = 65_536  # bytes; a longer one is not read
LINGER_MS: Final = 200


class TradingMode(StrEnum):
    """What execution does with intents.

    Attributes:
        ON: They are decided upon.
        PAUSED: No new order; what rests stays.
        STOPPED: No new order; what rests is cancelled, the exchange is asked until nothing does.
        FLATTENING: As STOPPED, and positions are being closed.
    """

    ON = "on"
    PAUSED = "paused"
    STOPPED = "stopped"
    FLATTENING = "flattening"


class TradingVerb(StrEnum):
    """What can be asked of trading."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    FLATTEN = "flatten"
    STATUS = "status"


class FlattenTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bounds of closing positions.

    Attributes:
        collar_e4: The worst price is so far from the first touch that is seen, 1e-4 dollars.
        slice_e2: Most contracts of one order, 1e-2; None for the largest size of an order.
        deadline_s: Seconds after which it ends, whatever is left.
    """

    collar_e4: Annotated[int, msgspec.Meta(ge=0, le=9_999)]
    slice_e2: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None
    deadline_s: Annotated[int, msgspec.Meta(ge=1, le=3_600)]


class TradingCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody wants of trading.

    Attributes:
        verb: What.
        user: Name of the local user who sent it.
        pid: The sending process.
        why: The reason, for people; no control characters.
        sent_mono_ns: When it was sent: who sent it waits for `ANSWER_S`, and then takes it that
            nothing was done.
        flatten: With `FLATTEN`, and only then.
    """

    verb: TradingVerb
    user: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_USER)]
    pid: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    why: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_WHY)]
    sent_mono_ns: int
    flatten: FlattenTerms | None = None

    def __post_init__(self) -> None:
        """`ValueError` for text that would spoil a line, or terms that do not fit the verb."""
        for name in ("user", "why"):
            text = getattr(self, name)
            if not text.isprintable() or not text.strip():
                raise ValueError(f"{name}={text[:40]!r}; allowed: printable text of one line")
        if (self.flatten is not None) != (self.verb is TradingVerb.FLATTEN):
            raise ValueError(f"terms of flatten with {self.verb}; allowed: with flatten, always")

    @property
    def who(self) -> str:
        """The sender, for the audit."""
        return f"{self.user} (pid {self.pid})"


class OpenOrderLine(msgspec.Struct, frozen=True):
    """An order that may still fill, as far as is known.

    Attributes:
        client_order_id: Its name; the exchange's own for one without.
        market_ticker: Its market.
        leg: The leg that is bought or sold.
        is_buy: Whether the leg is bought.
        price_e4: Limit on the scale of `leg`.
        remaining_e2: What may still fill.
        status: As known.
    """

    client_order_id: str
    market_ticker: str
    leg: Leg
    is_buy: bool
    price_e4: int
    remaining_e2: int
    status: OrderStatus


class HeldPosition(msgspec.Struct, frozen=True):
    """A market's position.

    Attributes:
        market_ticker: The market.
        position_e2: Signed contracts, YES positive.
        note: Why it is not known for certain, or why it was not closed; empty otherwise.
        foreign_e2: What of it this stack did not buy and leaves alone.
    """

    market_ticker: str
    position_e2: int
    note: str
    foreign_e2: int = 0

    @property
    def own_e2(self) -> int:
        """What of it this stack bought."""
        return self.position_e2 - self.foreign_e2


class TradingReport(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The state of trading.

    Attributes:
        mode: What is done with intents.
        who: Who caused it.
        why: The reason that was given.
        since_ns: Market time of the last change.
        since_utc_ns: The same by this machine's clock, Unix nanoseconds; outlives a restart.
        is_done: Whether what the mode asks for is done: when it is `STOPPED`, that the exchange
            was asked and nothing of ours rests.
        progress: What is going on, or how it ended, in a line.
        resting: Orders of this stack that may still fill.
        positions: Markets with a position, and those of which it is not known.
        accounts_known: Whether every account was compared with the exchange, without a doubt.
        latches: Limits that were hit and hold until `resume`.
        persist_error: Why the state could not be written to the data folder; empty when it was.
        foreign: Orders of others that may still fill; they are left alone.
    """

    mode: TradingMode
    who: str
    why: str
    since_ns: int
    since_utc_ns: int
    is_done: bool
    progress: str
    resting: tuple[OpenOrderLine, ...]
    positions: tuple[HeldPosition, ...]
    accounts_known: bool
    latches: tuple[str, ...]
    persist_error: str
    foreign: tuple[OpenOrderLine, ...] = ()


class CommandRefused(msgspec.Struct, frozen=True, tag=True):
    """A command that changed nothing.

    Attributes:
        error: Why, in a line.
        is_malformed: Whether it could not be read at all.
    """

    error: str
    is_malformed: bool


Answer = TradingReport | CommandRefused

_encoder: Final = msgspec.msgpack.Encoder()
_commands: Final = msgspec.msgpack.Decoder(TradingCommand)
_answers: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)


class NoAnswerError(KalshiActorError):
    """Execution does not run, or does not answer in time."""


class CommandSocket:
    """Execution's end: takes commands one by one, and answers each.

    Args:
        context: The process's ZeroMQ context.
        data_dir: Folder of the stack; the socket lies below it.

    Raises:
        UnsafePathError: The folder of the sockets is not this user's alone.
        zmq.ZMQError: The address cannot be bound.
    """

    def __init__(self, context: zmq.asyncio.Context, data_dir: Path) -> None:
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.RCVHWM, ENDPOINTS[ENDPOINT].high_water_mark)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LONGEST_COMMAND)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        where = address(ENDPOINT, data_dir, {})
        self._socket.bind(where)
        Path(where.removeprefix("ipc://")).chmod(0o600)

    async def recv(self) -> tuple[list[bytes], TradingCommand | CommandRefused]:
        """Wait for the next command -> whom to answer, and the command, or why it is none."""
        frames = await self._socket.recv_multipart()
        sender, payload = frames[:-1], frames[-1]
        try:
            return sender, _commands.decode(payload)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return sender, CommandRefused(" ".join(str(error).split()), is_malformed=True)

    async def send(self, sender: list[bytes], answer: Answer) -> None:
        """Answer; one that has gone meanwhile gets nothing."""
        await self._socket.send_multipart([*sender, _encoder.encode(answer)])

    def close(self) -> None:
        """Close the socket; unsent answers get `LINGER_MS`."""
        self._socket.close()


def ask(data_dir: Path, command: TradingCommand, timeout_s: float = ANSWER_S) -> Answer:
    """Send a command to the stack of a data folder and wait for its answer.

    Args:
        data_dir: Folder of the stack.
        command: What is wanted.
        timeout_s: Seconds to wait.

    Raises:
        NoAnswerError: Nobody listens, or no answer came in time.
        UnsafePathError: The folder of the sockets is not this user's alone.
    """
    if not data_dir.is_dir():
        raise NoAnswerError(f"execution does not run: there is no folder {data_dir}")
    where = address(ENDPOINT, data_dir, {})
    _check_listens(where.removeprefix("ipc://"))
    with zmq.Context() as context, context.socket(zmq.REQ) as client:
        client.setsockopt(zmq.LINGER, 0)
        client.connect(where)
        client.send(_encoder.encode(command))
        if not client.poll(int(1_000 * timeout_s)):
            raise NoAnswerError(f"execution does not answer within {timeout_s:g} s")
        try:
            return _answers.decode(client.recv())
        except msgspec.MsgspecError as error:
            raise NoAnswerError(f"execution's answer cannot be read: {error}") from None


def _check_listens(path: str) -> None:
    """ZeroMQ itself would wait for a listener that may never come."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(ANSWER_S)
        code = probe.connect_ex(path)
    if code in (errno.ENOENT, errno.ECONNREFUSED):
        raise NoAnswerError("execution does not run")
    if code not in (0, errno.EAGAIN):
        raise NoAnswerError(f"execution cannot be reached: {os.strerror(code)}")
