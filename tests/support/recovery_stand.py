"""A recovery to try: the states it can be in, and the events that may come, for a table of both.

Two markets, A and B. Subscriptions are 1 (lives), 2 (trades) and 3 (books) at first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from support.kalshi_frames import delta, error, raw, snapshot, subscribed, trade

from processes.adapters.kalshi.feed.book_feed import Distrust, Note
from processes.adapters.kalshi.schemas.frames import Snapshot, decode_frame
from processes.collector.recovery import (
    ASK_AGAIN_NS,
    REFUSED_AGAIN_NS,
    Action,
    BookVerdict,
    Phase,
    Recovery,
    Refused,
    Send,
)

BOOK, TRADE, LIFE = "orderbook_delta", "trade", "market_lifecycle_v2"
SNAPSHOTS_NS = 1_000  # when the snapshots of a subscribe came


class Stand:
    """A recovery, fed with frames as a collector feeds it: checked first, applied then."""

    def __init__(self) -> None:
        self.recovery = Recovery()
        self.recovery.follow(["A", "B"], [], 0)
        self.seq = 0  # of the book subscription
        self.sid = 3

    def frame(self, data: bytes, now_ns: int = SNAPSHOTS_NS) -> Sequence[Action]:
        frame = decode_frame(data)
        actions = self.recovery.on_frame(frame, now_ns)
        if isinstance(frame, Snapshot):
            self.recovery.on_verdict(frame.msg.market_ticker, BookVerdict.LIVE, now_ns)
        return actions

    def book(self, kind: Callable[..., bytes], ticker: str = "A", **more: object) -> bytes:
        """The next frame of the book subscription."""
        self.seq += 1
        return kind(self.seq, sid=self.sid, ticker=ticker, **more)

    def due(self, now_ns: int, unrecorded: Sequence[str] = (), closed: str = "") -> list[Action]:
        return list(self.recovery.due(now_ns, unrecorded, lambda ticker: ticker not in closed))

    @property
    def phases(self) -> tuple[Phase, ...]:
        return tuple(self.recovery.phase(t) for t in ("A", "B"))


def shown(actions: Sequence[Action]) -> list[str]:
    """Actions in words."""
    return [_word(action) for action in actions]


def _word(action: Action) -> str:
    match action:
        case Send(command=command):
            parsed = json.loads(command)
            params = parsed["params"]
            what = params.get("action", parsed["cmd"])
            place = params["channels"][0] if "channels" in params else f"sid {params['sids'][0]}"
            return " ".join([what, place, *params.get("market_tickers", ())])
        case Distrust(kind=kind, tickers=tickers):
            return " ".join(["stale", *tickers, f"({kind})"])
        case Note(channel=channel):
            return f"note {channel}"
        case Refused(tickers=tickers, code=code):
            return " ".join(["refused", *tickers, str(code)])


def offline() -> Stand:
    return Stand()


def subscribing() -> Stand:
    """Connected, every channel acknowledged, no snapshot yet."""
    stand = Stand()
    stand.recovery.on_connected(0)
    for command_id, (channel, sid) in enumerate(((LIFE, 1), (TRADE, 2), (BOOK, 3)), 1):
        stand.frame(subscribed(command_id, channel, sid))
    return stand


def half() -> Stand:
    """The snapshot of A has come."""
    stand = subscribing()
    stand.frame(stand.book(snapshot, "A"))
    return stand


def live() -> Stand:
    stand = half()
    stand.frame(stand.book(snapshot, "B"))
    return stand


def gap() -> Stand:
    """A frame of the books has not come."""
    stand = live()
    stand.seq += 1
    stand.frame(stand.book(delta))
    return stand


def resyncing() -> Stand:
    stand = gap()
    stand.due(2 * SNAPSHOTS_NS)
    return stand


def refused(code: int = 11) -> Stand:
    """Both markets were refused, on both channels."""
    stand = Stand()
    stand.recovery.on_connected(0)
    stand.frame(subscribed(1, LIFE, 1))
    stand.frame(error(code, id=2), 0)
    stand.frame(error(code, id=3), 0)
    return stand


def too_many() -> Stand:
    """The same, for now."""
    return refused(27)


def no_lives() -> Stand:
    """All but the channel of lives was taken."""
    stand = Stand()
    stand.recovery.on_connected(0)
    stand.frame(error(27, id=1), 0)
    stand.frame(subscribed(2, TRADE, 2))
    stand.frame(subscribed(3, BOOK, 3))
    stand.frame(stand.book(snapshot, "A"))
    stand.frame(stand.book(snapshot, "B"))
    return stand


def lost() -> Stand:
    """The connection has gone."""
    stand = live()
    stand.recovery.on_disconnected("gone")
    return stand


Event = Callable[[Stand], Sequence[Action]]


def connect(stand: Stand) -> Sequence[Action]:
    return stand.recovery.on_connected(SNAPSHOTS_NS)


def disconnect(stand: Stand) -> Sequence[Action]:
    return stand.recovery.on_disconnected("gone")


def follow_c(stand: Stand) -> Sequence[Action]:
    return stand.recovery.follow(["C"], [], SNAPSHOTS_NS)


def snapshot_a(stand: Stand) -> Sequence[Action]:
    return stand.frame(stand.book(snapshot, "A"))


def delta_a(stand: Stand) -> Sequence[Action]:
    return stand.frame(stand.book(delta))


def missing_frame(stand: Stand) -> Sequence[Action]:
    stand.seq += 1
    return stand.frame(stand.book(delta))


def missing_before_snapshot(stand: Stand) -> Sequence[Action]:
    """The snapshot is newer than what is missing."""
    stand.seq += 1
    return stand.frame(stand.book(snapshot, "A"))


def missing_trade(stand: Stand) -> Sequence[Action]:
    return stand.frame(trade(2, sid=2))


def missing_life(stand: Stand) -> Sequence[Action]:
    msg = {"market_ticker": "A", "event_type": "activated"}
    return stand.frame(raw(LIFE, msg, sid=1, seq=2))


def broken_a(stand: Stand) -> Sequence[Action]:
    stand.recovery.on_verdict("A", BookVerdict.BROKEN, SNAPSHOTS_NS)
    return ()


def ended(code: int, sid: int) -> Event:
    def event(stand: Stand) -> Sequence[Action]:
        if sid != 3:
            return stand.frame(error(code, sid=sid, seq=1))
        stand.seq += 1
        return stand.frame(error(code, sid=stand.sid, seq=stand.seq))

    return event


def late_answer(command_id: int, code: int = 7) -> Event:
    """The exchange refuses a command; 7: its subscription is over."""

    def event(stand: Stand) -> Sequence[Action]:
        return stand.frame(error(code, id=command_id))

    return event


def complaint(stand: Stand) -> Sequence[Action]:
    """An error that ends nothing."""
    stand.seq += 1
    msg = {"code": 26, "msg": "full", "market_ticker": "A"}
    return stand.frame(raw("error", msg, sid=3, seq=stand.seq))


def soon(stand: Stand) -> Sequence[Action]:
    return stand.due(2 * SNAPSHOTS_NS)


def later(stand: Stand) -> Sequence[Action]:
    return stand.due(3 * SNAPSHOTS_NS + ASK_AGAIN_NS)


def much_later(stand: Stand) -> Sequence[Action]:
    return stand.due(3 * SNAPSHOTS_NS + REFUSED_AGAIN_NS)


def unrecorded_a(stand: Stand) -> Sequence[Action]:
    """There is room again for the snapshot that heals A's hole."""
    return stand.due(3 * SNAPSHOTS_NS + ASK_AGAIN_NS, ["A"])
