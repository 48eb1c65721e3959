"""What markets paid, as the exchange says it: heard on the lifecycle channel, or asked for.

A market is awaited from its listing on, or because an earlier run left it open, until the exchange
says that it is finalized, whether or not it still has a row. The last word wins. No socket and no
clock.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ipc.messages import MarketResult
from processes.adapters.kalshi.normalise import ms_of_rfc3339, paid_of
from processes.adapters.kalshi.schemas.enums import MarketStatus, Result
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.adapters.kalshi.schemas.stream_messages import LifecycleMsg
from processes.collector.discovery import LIVING
from processes.collector.session import Session

__all__ = ["Results"]

MOST: Final = 10_000  # awaited markets; beyond it the one that has been awaited longest goes
FIRST_PAUSE_NS: Final = 10_000_000_000  # market time after a word or a question; it doubles
LONGEST_PAUSE_NS: Final = 3_600_000_000_000
NS_PER_MS: Final = 1_000_000
MS_PER_S: Final = 1_000

Facts = tuple[str, int | None, int | None, int | None]
NOTHING: Final[Facts] = (str(Result.NONE), None, None, None)


class _Awaited(msgspec.Struct):
    """`heard` is the last word; nothing is asked before `close_ns` and `next_ns`, market time."""

    close_ns: int
    heard: MarketResult | None = None
    next_ns: int = 0
    pause_ns: int = FIRST_PAUSE_NS

    def ask_after(self, now_ns: int) -> None:
        """Something was heard: reads lag, so the question waits a little."""
        self.close_ns = min(self.close_ns, now_ns)
        self.next_ns, self.pause_ns = now_ns + FIRST_PAUSE_NS, FIRST_PAUSE_NS


class Results:
    """The markets whose last word is still to come; every new word goes into the journal."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._awaited: dict[str, _Awaited] = {}
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._awaited)

    def expect(self, ticker: str, close_ms: int, heard: MarketResult | None = None) -> None:
        """Await a market's result; `heard` is what an earlier run recorded. Safe to repeat.

        `close_ms` 0: when it closes is not known, so ask at once.
        """
        awaited = self._awaited.get(ticker)
        if awaited is None:
            awaited = self._awaited[ticker] = _Awaited(close_ms * NS_PER_MS, heard)
        elif awaited.heard is None and close_ms:
            awaited.close_ns = close_ms * NS_PER_MS
        if len(self._awaited) > MOST:
            del self._awaited[next(iter(self._awaited))]
            self.given_up += 1

    def due(self, now_ns: int, number: int) -> list[str]:
        """At most so many markets to ask about now, those first that have waited longest."""
        waiting = [
            (max(a.next_ns, a.close_ns), ticker)
            for ticker, a in self._awaited.items()
            if max(a.next_ns, a.close_ns) <= now_ns
        ]
        return [ticker for _, ticker in sorted(waiting)[:number]]

    def on_lifecycle(self, msg: LifecycleMsg, now_ns: int) -> None:
        """The end of a market's life, which may say its result. `WireError` for a bad amount."""
        awaited = self._awaited.get(msg.market_ticker)
        if awaited is None:
            return
        awaited.ask_after(now_ns)
        if not (msg.result or msg.settlement_value):
            return
        at_s = msg.determination_ts
        self._hear(
            MarketResult(
                market_ticker=msg.market_ticker,
                result=str(msg.result or Result.NONE),
                yes_value_e4=paid_of(msg.settlement_value, msg.market_ticker),
                determined_ms=None if at_s is None else at_s * MS_PER_S,
                settled_ms=None,
                reported_ns=now_ns,
            )
        )

    def on_market(self, market: Market, asked_ns: int, now_ns: int) -> None:
        """The answer to a question asked at `asked_ns`. `WireError` for a bad amount or time.

        Reads lag: what was heard since the question was asked is newer.
        """
        awaited = self._awaited.get(market.ticker)
        if awaited is None or (awaited.heard is not None and awaited.heard.reported_ns > asked_ns):
            return
        if market.status in LIVING:  # a replay that begins anew opens it again
            awaited.close_ns = ms_of_rfc3339(market.close_time) * NS_PER_MS
            self.on_silence(market.ticker, now_ns)
            return
        final = market.status is MarketStatus.FINALIZED
        settled = market.settlement_ts if final else None
        self._hear(
            MarketResult(
                market_ticker=market.ticker,
                result=str(market.result),
                yes_value_e4=paid_of(market.settlement_value_dollars, market.ticker),
                determined_ms=None,
                settled_ms=ms_of_rfc3339(settled) if settled else None,
                reported_ns=now_ns,
            )
        )
        self.on_silence(market.ticker, now_ns)
        if final:
            del self._awaited[market.ticker]

    def on_silence(self, ticker: str, now_ns: int) -> None:
        """A question brought no last word: the next one comes later than this one did."""
        if awaited := self._awaited.get(ticker):
            awaited.next_ns = now_ns + awaited.pause_ns
            awaited.pause_ns = min(2 * awaited.pause_ns, LONGEST_PAUSE_NS)

    def _hear(self, word: MarketResult) -> None:
        """Journal what differs from the last word; nothing said where nothing stood is no word."""
        awaited = self._awaited[word.market_ticker]
        last = _facts(awaited.heard) if awaited.heard else NOTHING
        if word.determined_ms is None and _facts(word)[:2] == last[:2]:
            word = msgspec.structs.replace(word, determined_ms=last[2])
        if _facts(word) == last:
            return
        self._session.told(word)
        awaited.heard = word
        awaited.ask_after(word.reported_ns)


def _facts(word: MarketResult) -> Facts:
    return word.result, word.yes_value_e4, word.determined_ms, word.settled_ms
