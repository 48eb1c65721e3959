"""What the settings of the local exchange do: accounts, money, tier, shards, lag of reads."""

from __future__ import annotations

import json
import re

import pytest
from support.exchange import running_exchange, start
from support.logged import events
from support.patience import PATIENCE

pytestmark = pytest.mark.slow


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


def test_faults_of_the_settings_are_carried_out_at_the_start_and_in_their_time(tmp_path):
    refused = {"kind": "error_next", "status": 503, "method": "POST"}
    paused = {"kind": "maintenance", "for_s": 3_600, "after_s": 0.1}
    closed = {"kind": "closing", "burst": True, "snapshots": 2}
    wanted = json.dumps([paused, refused, closed])
    with running_exchange(tmp_path, RL_EXCHANGE_FAULTS=wanted) as exchange:
        assert exchange.call("POST", "/portfolio/events/orders", {}).status_code == 503
        assert exchange.call("POST", "/portfolio/events/orders", {}).status_code == 400
        while exchange.get("/exchange/status")["trading_active"]:
            pass  # not in its time yet
        assert len(exchange.get("/exchange/schedule")["schedule"]["maintenance_windows"]) == 1
        exchange.process.terminate()
        assert exchange.process.stdout is not None
        told = exchange.process.stdout.read()  # to its end, what readline had taken included
    kinds = [re.fullmatch(r'exchange fault_set fault={"kind":"(\w+)".*', x) for x in events(told)]
    assert [k and k[1] for k in kinds] == ["error_next", "closing", "maintenance"]


def test_a_fault_that_cannot_be_carried_out_in_its_time_is_reported(tmp_path):
    late = json.dumps([{"kind": "close_market", "ticker": "KXNONE", "after_s": 0.05}])
    with running_exchange(tmp_path, RL_EXCHANGE_FAULTS=late) as exchange:
        assert exchange.process.stdout is not None
        (line,) = events(exchange.process.stdout.readline())
        assert line.startswith("exchange fault_refused fault=")
        assert "KXNONE" in line
        assert exchange.get("/exchange/status")["trading_active"]


def test_the_weekly_pause_is_announced_when_it_is_set(tmp_path):
    for setting, windows in (("true", 1), ("false", 0)):
        with running_exchange(tmp_path, RL_EXCHANGE_WEEKLY_PAUSE=setting) as exchange:
            schedule = exchange.get("/exchange/schedule")["schedule"]
            assert len(schedule["maintenance_windows"]) == windows


def test_more_accounts_are_added_to_those_that_are_known(tmp_path):
    with running_exchange(tmp_path) as exchange:
        first = [c.api_key_id for c in exchange.credentials]
    with running_exchange(tmp_path, RL_EXCHANGE_ACCOUNTS="4") as exchange:
        assert [c.api_key_id for c in exchange.credentials][:2] == first
        assert len({c.api_key_id for c in exchange.credentials}) == 4
        assert exchange.get("/portfolio/balance", 3)["balance_dollars"] == "10000.0000"


def test_the_same_start_and_seed_are_the_same_books(tmp_path):
    start_at = {"RL_EXCHANGE_START": "2026-08-03T14:05:00+02:00", "RL_EXCHANGE_SPEED": "0"}
    ticker = "KXSIM1X15M-26AUG031215-15"
    books = []
    for seed in ("5", "5", "6"):
        wanted = start_at | {"RL_EXCHANGE_SEED": seed}
        with running_exchange(tmp_path, **wanted) as exchange:
            books.append(exchange.get(f"/markets/{ticker}/orderbook"))
    assert books[0] == books[1] != books[2]


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("RL_EXCHANGE_TIER", "gold", "unmetered, basic, advanced"),
        ("RL_EXCHANGE_SHARDS", "KXA", "SERIES=0 to SERIES=100"),
        ("RL_EXCHANGE_SHARDS", "KXA=101", "SERIES=0 to SERIES=100"),
        ("RL_EXCHANGE_CASH", "much", "amount of dollars"),
        ("RL_EXCHANGE_START", "noon", "such as 2026-08-03T12:00:00Z"),
        ("RL_EXCHANGE_START", "2026-08-03T12:00:00", "a time with a zone"),
        ("RL_EXCHANGE_START", "1969-08-03T12:00:00Z", "a time with a zone"),
        ("RL_EXCHANGE_ACCOUNTS", "0", "1 to 1000"),
        ("RL_EXCHANGE_ORDERS_LAG_MS", "-1", "0 to 60000"),
        ("RL_EXCHANGE_WEEKLY_PAUSE", "thursday", "true, false"),
        ("RL_EXCHANGE_FAULTS", "{", "not a JSON list of objects"),
        ("RL_EXCHANGE_FAULTS", '{"kind": "clear"}', "not a JSON list of objects"),
        ("RL_EXCHANGE_FAULTS", '[{"kind": "flood"}]', "kind='flood' is unknown; allowed: clear,"),
        ("RL_EXCHANGE_FAULTS", '[{"kind": "clear", "calls": 1}]', "calls=1 is no field of clear"),
        ("RL_EXCHANGE_FAULTS", '[{"kind": "delay_acks", "ms": 1.5}]', "0 to 600000"),
        ("RL_EXCHANGE_FAULTS", '[{"kind": "clear", "after_s": -1}]', "after_s=-1 cannot be used"),
        ("RL_EXCHANGE_FAULTS", '[{"kind": "drop_frame", "sid": 1}]', "sid=1 is not subscribed"),
    ],
)
@pytest.mark.sample(4)
def test_what_cannot_be_used_is_named(tmp_path, variable, value, allowed):
    process = start(tmp_path, **{variable: value})
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert err.startswith(f"exchange: {variable}=")
    assert allowed in err
    assert err.count("\n") == 1
