"""What markets paid: from the exchange's word to the database, the archive and the policy's P&L."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.exchange import Exchange, running_exchange
from support.journals import START_NS
from support.made_recording import START_MS, write_recording
from support.postgres import Database
from support.recorder_process import RecorderProcess, eventually
from support.running_collector import RunningCollector, running_collector
from support.stored_sessions import book_events, loaded, record, same_sessions

from ipc.messages import Environment, MarketListed, MarketResult
from ipc.units import parse_price
from models import evaluate
from models.simulation.tape import RecordedSession
from processes.adapters.postgres.archives import load_archive
from processes.adapters.postgres.open_results import open_results
from processes.adapters.postgres.stored_markets import load_stored
from processes.recorder.sessions.__main__ import main

pytestmark = pytest.mark.slow

TICKER = "KXTEST-1"
YES_E4 = 10_000


@pytest.fixture
def folder(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder; commands find this database."""
    monkeypatch.setenv("DATABASE_URL", database.dsn)
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path))
    return tmp_path


def word(
    result: str = "yes",
    value: int | None = YES_E4,
    at_ns: int = START_NS,
    settled_ms: int | None = None,
    ticker: str = TICKER,
) -> MarketResult:
    return MarketResult(
        market_ticker=ticker,
        result=result,
        yes_value_e4=value,
        determined_ms=None,
        settled_ms=settled_ms,
        reported_ns=at_ns,
    )


def known(database: Database, session_id: int = 1) -> list[tuple[str | None, int | None]]:
    markets = loaded(database, lambda loader: loader.markets(session_id))
    return [(m.result, m.yes_value_e4) for m in markets]


# Into the database


@pytest.mark.parametrize(
    ("words", "paid"),
    [
        ([], (None, None)),
        ([word()], ("yes", YES_E4)),
        ([word("scalar", 3_333)], ("scalar", 3_333)),
        ([word("unknown", 5_000)], ("unknown", 5_000)),  # a word that is not known to us
        ([word("yes", None)], ("yes", None)),
        ([word(), word()], ("yes", YES_E4)),
        ([word(), word("no", 0, START_NS + 1)], ("no", 0)),
        ([word("no", 0, START_NS + 1), word()], ("no", 0)),  # an older word comes late
        ([word(), word("", None, START_NS + 1)], (None, None)),  # withdrawn
    ],
)
def test_the_last_word_is_kept(
    database: Database,
    folder: Path,
    words: list[MarketResult],
    paid: tuple[str | None, int | None],
) -> None:
    record(database, folder, book_events(), marks=tuple(words))
    assert known(database) == [paid]
    (market,) = loaded(database, _whole)
    assert market.yes_value_e4 == paid[1]
    assert database.value("select count(*) from rl_rejected_rows") == 0


async def _whole(loader: Any) -> list[RecordedSession]:
    return [m for s in await loader.sessions() for m in await loader.load(s)]


def test_a_value_that_no_contract_pays_is_set_aside(database: Database, folder: Path) -> None:
    record(database, folder, book_events(), marks=(word(value=YES_E4 + 1),))
    assert known(database) == [(None, None)]
    assert database.value("select count(*) from rl_rejected_rows") == 1


def test_a_result_is_of_every_session_of_its_environment_and_of_no_other(
    database: Database, folder: Path
) -> None:
    demo = Environment.DEMO
    record(database, folder, book_events(), uid="a")
    record(database, folder, book_events(), uid="b", environment=demo)
    record(database, folder, book_events(), uid="c", marks=(word(),))
    assert [known(database, n)[0][1] for n in (1, 2, 3)] == [YES_E4, None, YES_E4]


def test_what_is_open_is_what_no_last_word_was_said_of(database: Database, folder: Path) -> None:
    tickers = ("KX-NEVER", "KX-HEARD", "KX-SETTLED")
    marks = (
        word(ticker="KX-HEARD"),
        word(ticker="KX-SETTLED", settled_ms=9),
    )
    record(database, folder, book_events(), tickers=tickers, marks=marks)
    left_open = asyncio.run(open_results(database.dsn, "simulated"))
    assert {m.ticker: m.heard for m in left_open} == {
        "KX-NEVER": None,
        "KX-HEARD": word(ticker="KX-HEARD"),
    }
    assert asyncio.run(open_results(database.dsn, "demo")) == []


# Into the archive


def test_show_archive_and_verify_know_it(
    database: Database, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tickers = (TICKER, "KXTEST-2")
    record(database, folder, book_events(), tickers=tickers, marks=(word("scalar", 2_500),))
    assert main(["show", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["markets"]
    assert [(m["result"], m["yes_value_e4"]) for m in shown] == [("scalar", 2_500), (None, None)]
    before = loaded(database, _whole)
    assert main(["archive", "1", "--drop"]) == 0
    assert "of 2 markets 1 without a known result, first KXTEST-2" in capsys.readouterr().out
    path = Path(database.value("select archive_path from rl_orderbook_sessions"))
    assert same_sessions(load_archive(path), before)
    assert same_sessions(loaded(database, _whole), before)
    assert main(["verify", "1"]) == 0
    told = "unknown results 1, not in archive 0, other in archive 0"
    assert told in capsys.readouterr().out


def test_verify_distinguishes_a_result_that_came_later_from_one_that_is_another(
    database: Database, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(database, folder, book_events(), tickers=(TICKER,), marks=(word(),))
    record(database, folder, book_events(), uid="later", tickers=("KXTEST-2",))
    assert main(["archive", "1", "2", "--drop"]) == 0
    late = (word("no", 0, START_NS + 1), word(ticker="KXTEST-2"))
    record(database, folder, book_events(), uid="last", marks=late)
    assert main(["verify", "2"]) == 0
    assert "unknown results 0, not in archive 1, other in archive 0" in capsys.readouterr().out
    assert main(["verify", "1"]) == 1
    assert "unknown results 0, not in archive 0, other in archive 1" in capsys.readouterr().out


# Into the P&L


def metadata(folder: Path, ticker: str, value: str | None) -> None:
    """The exchange's own reply beside a made recording of half a minute."""
    event = ticker.rpartition("-")[0]
    close_s = START_MS // 1_000 + 31
    market = {
        "ticker": ticker,
        "event_ticker": event,
        "status": "closed" if value is None else "finalized",
        "open_time": _time(START_MS // 1_000 - 60),
        "close_time": _time(close_s),
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
        "result": "" if value is None else "scalar",
    }
    if value is not None:
        market |= {"settlement_value_dollars": value, "settlement_ts": _time(close_s + 5)}
    (folder / "metadata").mkdir(exist_ok=True)
    reply = {"response": {"markets": [market]}}
    (folder / "metadata" / f"{event}.json").write_text(json.dumps(reply))


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def judged(folder: Path, *source: str) -> dict[str, Any]:
    path = folder / "figures.json"
    trades = ("--policy", "baseline:random", "--policy", "baseline:hold", "--all")
    assert evaluate.main([*source, *trades, "--pricing", "aggressive", "--json", str(path)]) == 0
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def test_a_market_makes_the_same_money_from_folder_session_and_archive(
    database: Database, folder: Path
) -> None:
    recordings = folder / "recordings"
    for n, value in enumerate(("0.3700", None)):
        ticker = f"KXMADE{n}-1"
        write_recording(recordings, seconds=30, seed=n, ticker=ticker)
        metadata(recordings, ticker, value)
    told = judged(folder, "--recordings", str(recordings))
    assert told["setting"]["markets"] == "2, of them 1 without a known result"
    assert all(told["outcomes"][0]["filled_e2"])
    assert main(["import", str(recordings)]) == 0
    lessons = load_stored(os.environ, ["1"])
    assert [m.yes_value_e4 for m in lessons] == [3_700, None]  # what training reads, too
    session = judged(folder, "--session", "1")
    assert main(["archive", "1", "--drop"]) == 0
    (archive,) = (folder / "archive").glob("*.parquet")
    assert session == told
    assert judged(folder, "--archive", str(archive)) == told
    database.fetch("delete from rl_market_results")
    unknown = judged(folder, "--session", "1")
    nets = [figures["outcomes"][0]["net_e6"] for figures in (told, unknown)]
    assert nets[0][0] != nets[1][0]  # what it paid matters
    assert nets[0][1] == nets[1][1]


# From the exchange


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """One synthetic market; it settles two seconds after it is closed by order."""
    with running_exchange(tmp_path / "data", RL_EXCHANGE_MARKETS="1") as running:
        yield running


@pytest.fixture
def collect(
    database: Database, recorder: RecorderProcess, exchange: Exchange
) -> Callable[..., AbstractContextManager[RunningCollector]]:
    """Runs of the collector, beside a recorder."""
    recorder.start()
    own = {"DATABASE_URL": database.dsn}
    return lambda **environ: running_collector(exchange.data_dir, exchange.port, **own, **environ)


Collect = Callable[..., AbstractContextManager[RunningCollector]]


def listed(collector: RunningCollector) -> list[str]:
    return [m.market_ticker for m in collector.messages() if isinstance(m, MarketListed)]


async def the_market(collector: RunningCollector) -> str:
    """The ticker, once the market is followed."""
    return str((await collector.until(lambda: listed(collector), "a market is followed"))[0])


def listens(exchange: Exchange) -> bool:
    """Whether somebody is told what happens to markets."""
    connected = exchange.admin("connections")
    heard = {s["channel"] for c in connected for s in c["subscriptions"]}
    return "market_lifecycle_v2" in heard


async def soon(check: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(eventually, check, what)


def stored(database: Database, ticker: str) -> dict[str, Any]:
    """What the database knows of it."""
    rows = database.fetch(
        "select r.* from rl_market_results r join rl_markets using (market_id) "
        "where environment = 'simulated' and market_ticker = $1",
        ticker,
    )
    return dict(rows[0]) if rows else {}


def paid(exchange: Exchange, ticker: str) -> tuple[str, int] | None:
    """What the exchange says, once it has paid."""
    market = exchange.get(f"/markets/{ticker}")["market"]
    if market["status"] != "finalized":
        return None
    return market["result"], parse_price(market["settlement_value_dollars"])


async def until_recorded(database: Database, exchange: Exchange, ticker: str) -> dict[str, Any]:
    """The row, which must say what the exchange paid."""
    await soon(lambda: paid(exchange, ticker) is not None, "the market has paid")
    await soon(lambda: stored(database, ticker) != {}, "its result is in the database")
    row = await asyncio.to_thread(stored, database, ticker)
    assert (row["result"], row["yes_value_e4"]) == paid(exchange, ticker)
    return row


async def test_a_market_that_is_determined_while_collected_has_its_value(
    database: Database, exchange: Exchange, collect: Collect
) -> None:
    with collect() as collector:
        ticker = await the_market(collector)
        await collector.until(lambda: listens(exchange), "it listens")
        exchange.order("close_market", ticker=ticker)
        row = await until_recorded(database, exchange, ticker)
        assert row["determined_ms"] > 0, "it was heard, not asked for"
        await soon(lambda: stored(database, ticker)["settled_ms"] is not None, "the last word")
        last = await asyncio.to_thread(stored, database, ticker)
        same = ("result", "yes_value_e4", "determined_ms")
        assert [last[name] for name in same] == [row[name] for name in same]


async def test_a_market_that_is_determined_between_two_runs_has_its_value(
    database: Database, exchange: Exchange, collect: Collect
) -> None:
    with collect() as collector:
        ticker = await the_market(collector)
        assert collector.stop() == 0
    exchange.order("close_market", ticker=ticker)
    await soon(lambda: paid(exchange, ticker) is not None, "the market has paid")
    await soon(lambda: ended(database) == 1, "its session is recorded")
    assert await asyncio.to_thread(stored, database, ticker) == {}
    with collect():
        row = await until_recorded(database, exchange, ticker)
        assert (row["determined_ms"], row["settled_ms"] > 0) == (None, True)


async def test_a_market_of_an_earlier_run_is_heard_when_it_is_determined_later(
    database: Database, exchange: Exchange, collect: Collect
) -> None:
    with collect() as collector:
        ticker = await the_market(collector)
        assert collector.stop() == 0
    await soon(lambda: ended(database) == 1, "its session is recorded")
    with collect(RL_MARKET_MODE="config", RL_MARKET_TICKERS="KXNONE-1") as following:
        await following.until(lambda: listens(exchange), "it listens")
        exchange.order("close_market", ticker=ticker)
        row = await until_recorded(database, exchange, ticker)
        assert row["determined_ms"] > 0, "it was heard, not asked for"
        assert listed(following) == []


def ended(database: Database) -> int:
    """Sessions that have ended."""
    return int(database.value("select count(*) from rl_orderbook_sessions where status = 'closed'"))
