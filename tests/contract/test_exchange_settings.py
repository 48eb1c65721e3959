"""What the settings of the local exchange do: accounts, money, tier, shards, lag of reads."""

from __future__ import annotations

import pytest
from support.exchange import running_exchange, start


def test_accounts_money_tier_and_shards_are_as_set(tmp_path):
    wanted = {
        "RL_EXCHANGE_ACCOUNTS": "3",
        "RL_EXCHANGE_CASH": "250.50",
        "RL_EXCHANGE_TIER": "expert",
        "RL_EXCHANGE_SHARDS": "KXSIM2X15M=2",
        "RL_EXCHANGE_MARKETS": "2",
    }
    with running_exchange(tmp_path, **wanted) as exchange:
        assert [c.algorithm for c in exchange.credentials] == ["rsa", "ed25519", "rsa"]
        for account in range(3):
            assert exchange.get("/portfolio/balance", account)["balance_dollars"] == "250.5000"
        assert exchange.get("/account/limits")["usage_tier"] == "expert"
        shards = {s["ticker"]: s["exchange_index"] for s in exchange.get("/series")["series"]}
        assert {s: i for s, i in shards.items() if s.startswith("KXSIM2")} == {"KXSIM2X15M": 2}
        assert set(shards.values()) == {0, 2}


def test_more_accounts_are_added_to_those_that_are_known(tmp_path):
    with running_exchange(tmp_path) as exchange:
        first = [c.api_key_id for c in exchange.credentials]
    with running_exchange(tmp_path, RL_EXCHANGE_ACCOUNTS="4") as exchange:
        assert [c.api_key_id for c in exchange.credentials][:2] == first
        assert len({c.api_key_id for c in exchange.credentials}) == 4
        assert exchange.get("/portfolio/balance", 3)["balance_dollars"] == "10000.0000"


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("RL_EXCHANGE_TIER", "gold", "unmetered, basic, advanced"),
        ("RL_EXCHANGE_SHARDS", "KXA", "SERIES=0 to SERIES=100"),
        ("RL_EXCHANGE_SHARDS", "KXA=101", "SERIES=0 to SERIES=100"),
        ("RL_EXCHANGE_CASH", "much", "amount of dollars"),
        ("RL_EXCHANGE_ACCOUNTS", "0", "1 to 1000"),
        ("RL_EXCHANGE_ORDERS_LAG_MS", "-1", "0 to 60000"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, variable, value, allowed):
    process = start(tmp_path, **{variable: value})
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err.startswith(f"exchange: {variable}=")
    assert allowed in err
    assert err.count("\n") == 1
