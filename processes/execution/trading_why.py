"""`kalshi-actor trading why`: the story of an order as lines of text or JSON, in order of time.

Dollars and contracts, market time in UTC. What is not stored is said, never guessed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from ipc.clock import NS_PER_MS, NS_PER_S
from ipc.messages import TradingEventKind
from ipc.units import ONE_DOLLAR_E4, format_count, format_money, format_price
from processes.adapters.postgres.database import Unreachable
from processes.adapters.postgres.location import dsn_of
from processes.adapters.postgres.order_stories import (
    MarketStory,
    OrderStory,
    Row,
    market_story,
    order_stories,
)
from processes.runtime.config import ConfigError, Settings

__all__ = ["StoryLine", "explain", "lines_of"]

_UNITS: Final = {"_e6": (format_money, " dollars"), "_e4": (format_price, " dollars")}
_US: Final = 1_000


class StoryLine(NamedTuple):
    """Something that happened.

    Attributes:
        ts_ns: When, market time.
        what: `tick`, `decision`, `intent`, `order`, `queue`, `fill`, `audit` or `result`.
        text: For people.
    """

    ts_ns: int
    what: str
    text: str


class LineJson(msgspec.Struct, frozen=True):
    """A line of `--json`."""

    at: str
    what: str
    text: str


class StoryJson(msgspec.Struct, frozen=True):
    """What `--json` prints for one order; `client_order_id` is null for a market's own audit."""

    client_order_id: str | None
    lines: list[LineJson]


def explain(settings: Settings, word: str, last: int, *, as_json: bool) -> tuple[str, bool]:
    """The stories that a word names -> the text, and whether there are any.

    Args:
        settings: Of the stack, whose database has them.
        word: An intent id, a client order id, the exchange's order id or a market's ticker.
        last: Orders of a market that are told.
        as_json: One line of JSON instead.

    Raises:
        ConfigError: The database cannot be used, or does not answer.
    """
    dsn = dsn_of(settings)
    try:
        stories = asyncio.run(order_stories(dsn, word))
        market = None if stories else asyncio.run(market_story(dsn, word, last))
    except (ConfigError, Unreachable) as error:
        raise ConfigError(
            f"the story is in the database alone, which does not answer; what happens meanwhile "
            f"waits in {settings.data_dir / 'journal'} and is there once it is back: {error}"
        ) from None
    if market is not None:
        stories = market.orders
    if not stories and market is None:
        return f"nothing is stored under {word!r}; allowed: an intent, an order or a market", False
    parts: list[tuple[str | None, list[StoryLine]]]
    parts = [(story.client_order_id, lines_of(story)) for story in stories]
    if market is not None:
        parts.append((None, _audit_lines(market)))
    return (_json(parts) if as_json else _text(word, parts)), True


def lines_of(story: OrderStory) -> list[StoryLine]:
    """The story of one order, in order of time."""
    found = [*_before(story), *_states(story), *_queue(story), *_fills(story)]
    found += [_event(row) for row in story.audit if _concerns(row, story)]
    found.sort(key=lambda line: line.ts_ns)  # stable: what is alike in time stays in this order
    return [*found, *_outcome(story)]


def _concerns(event: Row, story: OrderStory) -> bool:
    """Whether a line of the audit is no refusal of another intent."""
    own = f"{story.states[0]['intent_id']}: "
    return event["kind"] != TradingEventKind.LIMIT or str(event["why"]).startswith(own)


def _audit_lines(market: MarketStory) -> list[StoryLine]:
    return [_event(row) for row in market.audit]


def _before(story: OrderStory) -> Iterator[StoryLine]:
    """Tick, decision and intent."""
    tick, decision, intent = story.tick, story.decision, story.intent
    if tick is not None:
        text = f"event {tick['event_no']} of session {tick['session_uid']}"
        text += f", {tick['history']} ticks before it"
        yield StoryLine(tick["recv_ns"], "tick", text)
    if decision is not None:
        text = f"{decision['action_name']} by {decision['model']} ({decision['reason']})"
        hop_us = (decision["decided_mono_ns"] - decision["frame_mono_ns"]) // _US
        text += f", account version {decision['account_version']}, {hop_us} us after the frame"
        yield StoryLine(decision["decided_ns"], "decision", text)
    if intent is not None:
        count, price = format_count(intent["count_e2"]), format_price(intent["price_e4"])
        wait_ms = (intent["deadline_mono_ns"] - intent["decided_mono_ns"]) // NS_PER_MS
        what = f"{'buy' if intent['is_buy'] else 'sell'} {count} {intent['leg'].upper()} at {price}"
        text = f"{intent['intent_id']}: {what}, void after {wait_ms} ms"
        yield StoryLine(intent["decided_ns"], "intent", text)


def _states(story: OrderStory) -> Iterator[StoryLine]:
    """Every state that says something new."""
    shown = None
    for row in story.states:
        text = _state(row)
        if text != shown:
            shown = text
            yield StoryLine(row["ts_ns"], "order", text)


def _state(row: Row) -> str:
    yes_e4, is_yes = row["yes_price_e4"], row["leg"] == "yes"
    price = format_price(yes_e4 if is_yes else ONE_DOLLAR_E4 - yes_e4)
    what = f"{'buy' if row['is_buy'] else 'sell'} {row['leg'].upper()} at {price}"
    filled = f"{format_count(row['fill_count_e2'])} of {format_count(row['initial_count_e2'])}"
    parts = [f"{row['status']}: {what}, filled {filled}"]
    if row["reason"]:
        parts.append(row["reason"])
    if row["order_id"] is not None:
        parts.append(f"exchange's id {row['order_id']}")
    if row["intent_id"] is None:
        parts.append("not of this stack")
    if row["expire_ms"] is not None:
        parts.append(f"expires {_at(row['expire_ms'] * NS_PER_MS)}")
    if row["sent_mono_ns"] and row["acknowledged_mono_ns"]:
        sent_us = (row["sent_mono_ns"] - row["received_mono_ns"]) // _US
        answer_us = (row["acknowledged_mono_ns"] - row["sent_mono_ns"]) // _US
        parts.append(f"sent {sent_us} us after it was received, answered {answer_us} us later")
    return "; ".join(parts)


def _queue(story: OrderStory) -> Iterator[StoryLine]:
    for step in story.queue:
        text = f"{format_count(step.ahead_e2)} contracts trade before it"
        yield StoryLine(step.ts_ns, "queue", text)


def _fills(story: OrderStory) -> Iterator[StoryLine]:
    for row in story.fills:
        count, price = format_count(row["count_e2"]), format_price(row["yes_price_e4"])
        by = "taker" if row["is_taker"] else "maker"
        fee = format_money(row["fee_e6"])
        text = f"{count} at {price} on the YES scale, as {by}, fee {fee}, trade {row['trade_id']}"
        yield StoryLine(row["ts_ms"] * NS_PER_MS, "fill", text)


def _event(row: Row) -> StoryLine:
    numbers = ", ".join(_number(*item) for item in msgspec.json.decode(row["numbers"]).items())
    text = f"{row['kind']} {row['name']} by {row['who']}: {row['why']}"
    return StoryLine(row["ts_ns"], "audit", f"{text} ({numbers})" if numbers else text)


def _number(name: str, value: int) -> str:
    """An integer of the audit with its unit, dollars and contracts."""
    if name.endswith("_e2"):
        return f"{name.removesuffix('_e2')} {format_count(value)}"
    for suffix, (shown, unit) in _UNITS.items():
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix)} {shown(value)}{unit}"
    return f"{name} {value}"


def _outcome(story: OrderStory) -> Iterator[StoryLine]:
    """What the market paid, and what the order made of it."""
    fees_e6 = sum(row["fee_e6"] for row in story.fills)
    result, last_ns = story.result, story.states[-1]["ts_ns"]
    if result is None or result["yes_value_e4"] is None:
        if story.fills:
            text = f"not known yet what the market pays; fees so far {format_money(fees_e6)}"
            yield StoryLine(last_ns, "result", text)
        return
    value_e4 = result["yes_value_e4"]
    settled_ms = result["settled_ms"] or result["determined_ms"]
    at_ns = last_ns if settled_ms is None else settled_ms * NS_PER_MS
    text = f"{result['result'] or 'no result'}: a YES contract pays {format_price(value_e4)}"
    if story.fills:
        gain_e6 = sum(_signed(row) * (value_e4 - row["yes_price_e4"]) for row in story.fills)
        net = format_money(gain_e6 - fees_e6)
        text += f"; this order's fills, held until then: {format_money(gain_e6)} less fees "
        text += f"{format_money(fees_e6)} = {net} dollars"
    yield StoryLine(at_ns, "result", text)


def _signed(fill: Row) -> int:
    count_e2: int = fill["count_e2"]
    return count_e2 if fill["book_side"] == "bid" else -count_e2


def _at(ns: int) -> str:
    moment = datetime.fromtimestamp(ns // NS_PER_S, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns % NS_PER_S // NS_PER_MS:03d}Z"


def _text(word: str, parts: list[tuple[str | None, list[StoryLine]]]) -> str:
    lines = []
    for name, found in parts:
        lines.append(f"order {name}" if name is not None else f"audit of {word}")
        lines += [f"  {_at(line.ts_ns)}  {line.what:<8}  {line.text}" for line in found]
        if not found:
            lines.append("  nothing")
    return "\n".join(lines)


def _json(parts: list[tuple[str | None, list[StoryLine]]]) -> str:
    stories = [
        StoryJson(name, [LineJson(_at(line.ts_ns), line.what, line.text) for line in found])
        for name, found in parts
    ]
    return msgspec.json.encode(stories).decode()
