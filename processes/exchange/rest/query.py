"""Query parameters of REST reads, refused where the exchange refuses them."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from aiohttp import web

from processes.exchange.core.rejections import bad_request
from processes.exchange.rest.fields import checked_subaccount

__all__ = ["names", "number", "shard", "span", "subaccount"]


def number(request: web.Request, name: str) -> int | None:
    """A whole number, None when it is not given."""
    raw = request.query.get(name, "")
    if raw and not raw.removeprefix("-").isdecimal():
        raise bad_request(f"{name}: {raw!r} is not a number")
    return int(raw) if raw else None


def names(request: web.Request, name: str) -> list[str]:
    """A list given as repeated parameters, as commas, or both."""
    values = request.query.getall(name, [])
    return [t for value in values for t in value.split(",") if t]


def span(
    request: web.Request, least: str = "min_ts", most: str = "max_ts"
) -> Callable[[int], bool]:
    """Whether a moment in milliseconds lies in the asked span of Unix seconds, ends included."""
    low, high = number(request, least), number(request, most)
    low_ms = -inf if low is None else low * 1000
    high_ms = inf if high is None else high * 1000
    return lambda ts_ms: low_ms <= ts_ms <= high_ms


def subaccount(request: web.Request) -> int | None:
    """`subaccount`, None when it is not given."""
    return checked_subaccount(number(request, "subaccount"))


def shard(request: web.Request) -> int | None:
    """`exchange_index`, None when it is not given."""
    return number(request, "exchange_index")
