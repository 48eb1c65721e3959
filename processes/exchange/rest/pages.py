"""Pages of lists: how many rows, from where, and how a bad `limit` is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from processes.exchange.core.rejections import Rejection

__all__ = ["EVENT_PAGES", "MARKET_PAGES", "TRANSFER_PAGES", "Pages", "page"]


class Pages(NamedTuple):
    """The most and the usual number of rows, and the validator's words for too few and too many."""

    most: int = 1_000
    usual: int = 100
    least_tag: str = "min"
    most_tag: str = "max"


PAGES: Final = Pages()
MARKET_PAGES: Final = Pages(least_tag="gte", most_tag="lte")
EVENT_PAGES: Final = Pages(most=200, usual=200)
TRANSFER_PAGES: Final = Pages(most=500)


def page(
    rows: Iterable[Any], query: Mapping[str, str], operation: str, pages: Pages = PAGES
) -> tuple[list[Any], str]:
    """(rows of this page, cursor of the next, empty at the end); a garbage cursor is page one."""
    limit = _limit(query, operation, pages)
    cursor = query.get("cursor", "")
    start = int(cursor) if cursor.isdecimal() else 0
    end = start + limit
    found = list(islice(rows, end + 1))  # one more says whether a page follows
    return found[start:end], str(end) if end < len(found) else ""


def _limit(query: Mapping[str, str], operation: str, pages: Pages) -> int:
    raw = query.get("limit", "")
    if not raw:
        return pages.usual
    failed = f"Parameter validation failed for {operation}: "
    if not raw.removeprefix("-").isdecimal():
        raise Rejection.bare(400, f"{failed}Invalid format for parameter limit: {raw!r}")
    limit = int(raw)
    tag = pages.least_tag if limit < 0 else pages.most_tag if limit > pages.most else ""
    if tag:
        text = f"Key: '{operation}Params.Limit' Error:Field validation for 'Limit' failed on the"
        raise Rejection.bare(400, f"{failed}{text} '{tag}' tag")
    return limit or pages.usual
