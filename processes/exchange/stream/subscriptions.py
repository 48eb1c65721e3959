"""One subscription of a connection: its channel, markets, `seq`, and what each `seq` stood for."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final

from processes.adapters.kalshi.schemas.frames import Channel
from processes.exchange.core.markets import Market
from processes.exchange.stream.frames import Frame

__all__ = ["ALL_MARKETS", "NO_STATE", "UNSEQUENCED", "Subscription"]

UNSEQUENCED: Final = frozenset(
    {Channel.TICKER, Channel.FILL, Channel.USER_ORDERS, Channel.MARKET_POSITIONS}
)
ALL_MARKETS: Final = None
NO_STATE: Final = -1
_STATE_BITS: Final = 40
_DELTA: Final = 1 << 39  # in a state: the frame was its last event, not the whole book
_EVENTS: Final = _DELTA - 1
DELTA_FRAME: Final = "orderbook_delta"
MOST_STATES: Final = 4_000_000  # then the older half goes


class Subscription:
    """`tickers` is `ALL_MARKETS` or the set of markets it covers."""

    def __init__(
        self, sid: int, channel: Channel, tickers: Iterable[str] | None, *, on_yes_scale: bool
    ) -> None:
        self.sid = sid
        self.channel = channel
        self.tickers = ALL_MARKETS if tickers is None else set(tickers)
        self.on_yes_scale = on_yes_scale
        self.is_sequenced = channel not in UNSEQUENCED  # whether its frames carry `seq`
        self._shows_books = channel is Channel.BOOK
        self.seq = 0
        self.frames = 0
        self.drop_next = 0  # frames to lose, for tests of gap recovery
        self._heads: dict[str, bytes] = {}
        self._states = array("q", [NO_STATE])  # by seq: which market's book, after which event
        self._first = 0  # the `seq` of the first of them

    @property
    def kept(self) -> int:
        """Frames of books whose past it remembers."""
        return len(self._states)

    def covers(self, ticker: str) -> bool:
        """Whether a market's frames belong here."""
        return self.tickers is ALL_MARKETS or ticker in self.tickers

    def listed(self) -> list[str] | None:
        """Its tickers, sorted, as an `ok` lists them."""
        return ALL_MARKETS if self.tickers is ALL_MARKETS else sorted(self.tickers)

    def stamp(self, frame: Frame, market: Market | None = None) -> bytes:
        """The frame for this subscription; a sequenced one takes the next `seq`."""
        frame_type, tail = frame
        head = self._heads.get(frame_type)
        if head is None:
            head = self._heads[frame_type] = self._head(frame_type)
        self.frames += 1
        if not self.is_sequenced:
            return head + tail
        is_delta = frame_type == DELTA_FRAME
        return b"%b%d%b" % (head, self.next_seq(market, is_delta=is_delta), tail)

    def _head(self, frame_type: str) -> bytes:
        seq = ',"seq":' if self.is_sequenced else ""
        return f'{{"type":"{frame_type}","sid":{self.sid}{seq}'.encode()

    def next_seq(self, market: Market | None = None, *, is_delta: bool = False) -> int:
        """Take the next `seq`; with a market, the frame shows its book as it is now."""
        self.seq += 1
        if self._shows_books:
            state = NO_STATE
            if market is not None:
                state = (market.number << _STATE_BITS) | market.log.events | _DELTA * is_delta
            self._states.append(state)
            if len(self._states) > MOST_STATES:
                del self._states[: MOST_STATES // 2]
                self._first += MOST_STATES // 2
        return self.seq

    def states_before(self, seq: int) -> Iterable[tuple[int, int]]:
        """(market number, events in its book) of the frames up to `seq`, newest first."""
        for n in range(min(seq, self.seq), self._first - 1, -1):
            word = self._states[n - self._first]
            if word != NO_STATE:
                yield word >> _STATE_BITS, word & _EVENTS

    def frames_between(self, first: int, last: int) -> Iterable[tuple[int, int, int, bool]]:
        """(seq, market number, events in its book, whether it is the last of them) of books."""
        for seq in range(max(first, 1, self._first), min(last, self.seq) + 1):
            word = self._states[seq - self._first]
            if word != NO_STATE:
                yield seq, word >> _STATE_BITS, word & _EVENTS, bool(word & _DELTA)
