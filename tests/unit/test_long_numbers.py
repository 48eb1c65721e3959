"""Numbers of any length are read or refused in words; Python converts 4,300 digits at most."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from ipc.units import is_whole
from processes.adapters.kalshi.auth.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER
from processes.exchange.core.access import Authenticator, KeyRing, cost_of
from processes.exchange.core.catalogue import Catalogue
from processes.exchange.core.rejections import Rejection
from processes.exchange.rest.pages import page
from processes.exchange.rest.requests import number
from processes.runtime.config import ConfigError, load_settings

LONG = "9" * 5_000


@pytest.mark.parametrize("text", ["0", "7", "0" * 18, "9" * 18])
def test_a_whole_number(text: str) -> None:
    assert is_whole(text)


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1.0", "٣", "9" * 19, LONG])
def test_what_is_no_whole_number(text: str) -> None:
    assert not is_whole(text)


def test_a_parameter_of_a_request() -> None:
    with pytest.raises(Rejection, match="is not a number"):
        number(make_mocked_request("GET", f"/x?min_ts={LONG}"), "min_ts")


def test_the_limit_of_a_page() -> None:
    with pytest.raises(Rejection, match="Invalid format for parameter limit"):
        page([1, 2], {"limit": LONG}, "GetMarkets", lambda row: (row,))


def test_a_timestamp_of_a_signature() -> None:
    headers = {SIGNATURE_HEADER: "x", TIMESTAMP_HEADER: LONG}
    with pytest.raises(Rejection, match="header_timestamp_expired"):
        Authenticator(KeyRing([]), lambda: 0).key(headers, "GET", "/trade-api/v2/markets")


def test_a_shard_that_a_write_names() -> None:
    assert cost_of("DELETE", "/portfolio/orders", {"exchange_index": LONG}).shards == (0,)


def test_a_ticker_of_the_catalogue() -> None:
    assert Catalogue(100, 0, seed=1).find(f"KXC00000-26DEC01-{LONG}", 0) is None


def test_a_setting_of_shards() -> None:
    with pytest.raises(ConfigError, match="RL_EXCHANGE_SHARDS"):
        load_settings({"RL_EXCHANGE_SHARDS": f"KX={LONG}"})
