"""Frames of every type from a small exchange, some of them spoilt, and a judge of what they mean.

The judge reads with `json` and `Decimal` and keeps dictionaries: it shares nothing with the code
that it judges. It follows what was received, spoilt or not.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
from support.kalshi_frames import delta, error, fill, ok, raw, snapshot, trade
from support.naive_book import NaiveBook

from ipc.units import LINEAR_CENT, ONE_DOLLAR_E4, format_count, format_price

__all__ = ["BOOK_SID", "TRADE_SID", "Change", "Judge", "Sender", "spoil", "spoilt"]

BOOK_SID: Final = 3
TRADE_SID: Final = 2
LIFE_SID: Final = 1
SIDES: Final = ("yes", "no")
INT32: Final = 2**31 - 1
INT64: Final = 2**63 - 1
_NUMBER: Final = re.compile(r"-?\d+(\.\d*)?", re.ASCII)


class Sender:
    """The exchange: its books are always true, and every frame takes the next `seq`."""

    def __init__(self, chance: np.random.Generator, tickers: tuple[str, ...]) -> None:
        self._chance = chance
        self._tickers = tickers
        self._books = {ticker: NaiveBook(LINEAR_CENT) for ticker in tickers}
        self._seqs = {BOOK_SID: 0, TRADE_SID: 0, LIFE_SID: 0}

    def _seq(self, sid: int) -> int:
        self._seqs[sid] += 1
        return self._seqs[sid]

    def _pick(self, *choices: Any) -> Any:
        return choices[int(self._chance.integers(len(choices)))]

    def next(self) -> bytes:
        """Mostly a change of a book."""
        ticker = self._pick(*self._tickers)
        at = self._chance.random()
        if at < 0.80:
            return self._delta(ticker)
        if at < 0.90:
            taker = self._pick(*SIDES)
            return trade(self._seq(TRADE_SID), sid=TRADE_SID, ticker=ticker, taker=taker)
        if at < 0.95:
            return self.snapshot(ticker)
        return self._other(ticker)

    def _delta(self, ticker: str) -> bytes:
        side, price = int(self._chance.integers(2)), 100 * int(self._chance.integers(47, 50))
        book = self._books[ticker]
        least = -book.legs[side].get(price, 0)
        change = int(self._chance.integers(least, 5_000)) or 100
        book.delta(side, price, change)
        wire_price = ONE_DOLLAR_E4 - price if side else price
        return delta(
            self._seq(BOOK_SID),
            sid=BOOK_SID,
            ticker=ticker,
            side=SIDES[side],
            price=format_price(wire_price),
            size=format_count(change),
            ts_ms=self._pick(None, 1_781_159_489_957),
        )

    def subscribed_anew(self) -> None:
        """The subscription of books has ended and begun again."""
        self._seqs[BOOK_SID] = 0

    def snapshot(self, ticker: str) -> bytes:
        """The whole book, as `get_snapshot` is answered."""
        legs: dict[str, Any] = {}
        for side, leg in enumerate(self._books[ticker].legs):
            levels = [
                [format_price(ONE_DOLLAR_E4 - p if side else p), format_count(c)]
                for p, c in sorted(leg.items())
            ]
            if levels:
                legs[f"{SIDES[side]}_dollars_fp"] = levels
        return snapshot(self._seq(BOOK_SID), sid=BOOK_SID, ticker=ticker, **legs)

    def _other(self, ticker: str) -> bytes:
        """What changes no book."""
        event = {"market_ticker": ticker, "event_type": "activated"}
        makers: tuple[Callable[[], bytes], ...] = (
            lambda: ok(9, BOOK_SID, self._seq(BOOK_SID), *self._tickers),
            lambda: raw("market_lifecycle_v2", event, sid=LIFE_SID, seq=self._seq(LIFE_SID)),
            lambda: raw("weather", {"any": 1}, sid=BOOK_SID, seq=self._seq(BOOK_SID)),
            lambda: error(26, sid=BOOK_SID, seq=self._seq(BOOK_SID)),
            fill,
        )
        made: bytes = self._pick(*makers)()
        return made


NASTY: Final = (
    *(None, True, 0, -1, 1, 2**31, 2**32, 2**63, -(2**63) - 1, 10**30, 0.5, 5.0, 1e300),
    *("", "0", "-0", "0.4650", "1.0000", "0.0000", "-0.4700", "1e2", "+1.00", " 1.00", "1_0.00"),
    *("9" * 25, "0." + "0" * 40 + "1", "NaN", "Infinity", "١.00", "21474836.48", "-21474836.48"),
    *(
        "92233720368547758.08",
        "yes",
        "no",
        "A",
        "Z",
        "\ud800",
        "\x00",
        [],
        {},
        [["0.4700", "1.00"]],
    ),
    [["0.4700", "1.00"], ["0.4700", "2.00"]],
    [["0.4700", "99999999999.00"]],
    *("2026-06-11T06:31:29", "2026-06-11T06:31:29Z", "9999-12-31T23:59:59.999999Z", "yesterday"),
)


def spoilt(data: bytes, chance: np.random.Generator) -> bytes:
    """The frame with some of it wrong."""
    ways = (_field, _field, _field, _without, _twice, _again, _bits, _cut)
    way = ways[int(chance.integers(len(ways)))]
    if way not in (_bits, _cut) and chance.random() < 0.2:
        data = _field(data, chance)
    return way(data, chance)


def _bits(data: bytes, chance: np.random.Generator) -> bytes:
    spoiled = bytearray(data)
    for at in chance.integers(len(data), size=int(chance.integers(1, 4))):
        spoiled[at] = int(chance.integers(256))
    return bytes(spoiled)


def _cut(data: bytes, chance: np.random.Generator) -> bytes:
    begin, end = sorted(int(n) for n in chance.integers(len(data) + 1, size=2))
    return data[:begin] + data[end:]


def _places(frame: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a frame."""
    if isinstance(frame, dict | list):
        keys = list(frame) if isinstance(frame, dict) else list(range(len(frame)))
        return [(frame, k) for k in keys] + [p for k in keys for p in _places(frame[k])]
    return []


def _field(data: bytes, chance: np.random.Generator) -> bytes:
    frame = json.loads(data)
    places = _places(frame)
    container, key = places[int(chance.integers(len(places)))]
    container[key] = NASTY[int(chance.integers(len(NASTY)))]
    return json.dumps(frame).encode()


def _without(data: bytes, chance: np.random.Generator) -> bytes:
    frame = json.loads(data)
    places = _places(frame)
    container, key = places[int(chance.integers(len(places)))]
    del container[key]
    return json.dumps(frame).encode()


def _twice(data: bytes, chance: np.random.Generator) -> bytes:
    """The same key again with another value, as JSON allows."""
    frame = json.loads(data)
    holder = frame["msg"] if isinstance(frame.get("msg"), dict) and frame["msg"] else frame
    key = list(holder)[int(chance.integers(len(holder)))]
    value = json.dumps(NASTY[int(chance.integers(len(NASTY)))])
    text = json.dumps(frame)
    own = json.dumps(holder)
    return text.replace(own, f"{own[:-1]}, {json.dumps(key)}: {value}}}", 1).encode()


def _again(data: bytes, chance: np.random.Generator) -> bytes:
    """An element of a list a second time."""
    frame = json.loads(data)
    lists = [c[k] for c, k in _places(frame) if isinstance(c[k], list) and c[k]]
    if not lists:
        return _field(data, chance)
    chosen = lists[int(chance.integers(len(lists)))]
    chosen.append(chosen[int(chance.integers(len(chosen)))])
    return json.dumps(frame).encode()


class Change(msgspec.Struct, frozen=True):
    """What a frame asks of a book, as the judge reads it."""

    kind: str
    ticker: str
    levels: tuple[tuple[int, int, int], ...]  # (side, leg price_e4, count_e2)


class Judge:
    """The books as they are by the frames received; None: nobody can know."""

    def __init__(self, tickers: tuple[str, ...]) -> None:
        self.books: dict[str, NaiveBook | None] = dict.fromkeys(tickers)
        self._seq = 0

    def count(self, data: bytes) -> None:
        """A frame that is missing puts all books of the subscription in doubt."""
        try:
            frame = json.loads(data.decode(errors="replace"), strict=False)
        except (ValueError, RecursionError):
            return
        if frame.get("sid") == BOOK_SID and frame.get("seq") is not None:
            if frame["seq"] != self._seq + 1:
                self.doubt(*self.books)
            self._seq = frame["seq"]

    def subscribed_anew(self) -> None:
        """The subscription of books has ended and begun again."""
        self.doubt(*self.books)
        self._seq = 0

    @staticmethod
    def read(data: bytes) -> Change | None:
        """What a frame of books says, None when it says nothing that can be done."""
        try:
            # What stands in fields that nobody reads may be any bytes.
            return _change(json.loads(data.decode(errors="replace"), strict=False))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def receive(self, change: Change) -> bool:
        """Apply; False when this change cannot be of this book."""
        book = self.books[change.ticker]
        if change.kind == "orderbook_snapshot":
            fresh = NaiveBook(LINEAR_CENT)
            if not fresh.snapshot(list(change.levels)):
                return False
            self.books[change.ticker] = fresh
            return True
        return book is not None and book.delta(*change.levels[0])

    def doubt(self, *tickers: str) -> None:
        """Nobody can know these books until their next snapshot."""
        self.books.update(dict.fromkeys(tickers))


def _change(frame: dict[str, Any]) -> Change | None:
    msg = frame["msg"]
    if frame["type"] == "orderbook_delta":
        side = SIDES.index(msg["side"])
        level = (side, _leg_price(side, msg["price_dollars"]), _amount(msg["delta_fp"], 2))
        return Change("orderbook_delta", msg["market_ticker"], (level,))
    if frame["type"] == "orderbook_snapshot":
        levels = [
            (side, _leg_price(side, price), _amount(count, 2))
            for side, name in enumerate(SIDES)
            for price, count in msg.get(f"{name}_dollars_fp") or ()
        ]
        if len({level[:2] for level in levels}) < len(levels):
            raise ValueError("a level twice")
        return Change("orderbook_snapshot", msg["market_ticker"], tuple(levels))
    return None


def _leg_price(side: int, text: str) -> int:
    """NO levels come at YES prices."""
    price = _amount(text, 4)
    return ONE_DOLLAR_E4 - price if side else price


def _amount(text: str, places: int) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    scaled = Decimal(text).scaleb(places)
    if scaled != scaled.to_integral_value() or abs(scaled) > (INT32 if places == 2 else INT64):
        raise ValueError(text)
    return int(scaled)


def spoil(data: bytes, chance: random.Random) -> bytes:
    """Cut, nested, doubled, flipped or filled with something else."""
    nest = chance.choice([b"[", b'{"a":']) * chance.choice([1, 900, 5_000])
    other = chance.choice([b"9" * 400, b"1e400", b"\xff", b'"', b"null", b"-", b"-1", b"1e15"])
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.randrange(1, 20))
    return chance.choice(
        [
            data[:at],
            data[:at] + data[end:],
            data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :],
            data[:at] + nest + data[at:],
            data[:at] + other + data[end:],
            data[:at] + data + data[at:],
        ]
    )
