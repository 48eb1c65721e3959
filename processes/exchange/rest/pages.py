"""Pages of lists: how many rows, from where, and how a bad `limit` is refused."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from itertools import dropwhile, islice
from typing import Final, NamedTuple, TypeVar

import msgspec

from ipc.units import is_whole
from processes.exchange.core.rejections import Rejection

__all__ = [
    "COMBO_PAGES",
    "EVENT_PAGES",
    "MARKET_PAGES",
    "TRANSFER_PAGES",
    "Pages",
    "Place",
    "cursor_of",
    "page",
    "place_of_cursor",
]

Place = tuple[int | str, ...]  # where a row stands in its list


Row = TypeVar("Row")


class Pages(NamedTuple):
    """The most and the usual number of rows, and the validator's words for too few and too many."""

    most: int = 1_000
    usual: int = 100
    least_tag: str = "min"
    most_tag: str = "max"


PAGES: Final = Pages()


MARKET_PAGES: Final = Pages(least_tag="gte", most_tag="lte")


EVENT_PAGES: Final = Pages(most=200, usual=200)


COMBO_PAGES: Final = Pages(most=200, usual=100)


TRANSFER_PAGES: Final = Pages(most=500)


def page(
    rows: Iterable[Row],
    query: Mapping[str, str],
    operation: str,
    place: Callable[[Row], Place],
    pages: Pages = PAGES,
) -> tuple[list[Row], str]:
    """One page of a list -> (its rows, the cursor of the next page, empty at the end).

    A cursor is a position and no offset: it holds the place of the last row that was given out, so
    that paging a list which changes meanwhile neither repeats nor skips a row. `place` is a row's
    own for ever, and ascends along `rows`. A garbage cursor is page one, as on the real exchange.
    `Rejection` (400) for a bad `limit`.
    """
    limit = _limit(query, operation, pages)
    after = place_of_cursor(query.get("cursor", ""))
    if after is not None:
        rows = dropwhile(lambda row: _is_before(place(row), after), rows)
    found = list(islice(rows, limit + 1))  # one more says whether a page follows
    more = len(found) > limit
    return found[:limit], cursor_of(place(found[limit - 1])) if more else ""


def cursor_of(place: Place) -> str:
    """A place as clients hand it back."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def place_of_cursor(cursor: str) -> Place | None:
    """The place that a cursor holds; None without one, and for garbage."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=tuple[int | str, ...]) or None
    except (ValueError, RecursionError):
        return None


def _is_before(place: Place, after: Place) -> bool:
    """Whether a row has been given out; a cursor of another list is garbage."""
    try:
        return place <= after
    except TypeError:
        return False


def _limit(query: Mapping[str, str], operation: str, pages: Pages) -> int:
    raw = query.get("limit", "")
    if not raw:
        return pages.usual
    failed = f"Parameter validation failed for {operation}: "
    if not is_whole(raw.removeprefix("-")):
        raise Rejection.bare(400, f"{failed}Invalid format for parameter limit: {raw!r}")
    limit = int(raw)
    tag = pages.least_tag if limit < 0 else pages.most_tag if limit > pages.most else ""
    if tag:
        text = f"Key: '{operation}Params.Limit' Error:Field validation for 'Limit' failed on the"
        raise Rejection.bare(400, f"{failed}{text} '{tag}' tag")
    return limit or pages.usual
