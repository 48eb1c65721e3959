"""`kalshi-actor funds`: money by shard, moved once whatever happens, asked for at a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.exchange import Exchange, running_exchange

ROOT = Path(__file__).resolve().parents[2]
MOVE = ("move", "25.5", "--from", "0", "--to", "2")


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder = tmp_path_factory.mktemp("funds")
    with running_exchange(folder, RL_EXCHANGE_TIER="unmetered") as running:
        yield running


def funds(
    exchange: Exchange, *argv: str, stdin: int = subprocess.DEVNULL, **environ: str
) -> subprocess.CompletedProcess[str]:
    known = {k: v for k, v in os.environ.items() if not k.startswith(("RL_", "KALSHI_"))}
    known |= {"RL_DATA_DIR": str(exchange.data_dir), "RL_EXCHANGE_PORT": str(exchange.port)}
    return subprocess.run(
        [sys.executable, "-m", "processes.cli", "funds", *argv],
        cwd=ROOT,
        env=known | environ,
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=110,
    )


def shards(exchange: Exchange) -> dict[int, float]:
    rows = exchange.get("/portfolio/balance")["balance_breakdown"]
    return {row["exchange_index"]: float(row["balance"]) for row in rows}


def test_each_shard_s_money_is_listed_in_dollars(exchange: Exchange) -> None:
    done = funds(exchange, "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^shard 0 +\d{1,2},\d{3}\.\d{4}$", done.stdout, re.M)
    facts = json.loads(funds(exchange, "list", "--json").stdout)
    assert facts["environment"] == "simulated"
    assert facts["total_dollars"] == "10000.0000"
    assert facts["shards"][0]["exchange_index"] == 0


def test_a_transfer_is_made_once_under_its_id(exchange: Exchange) -> None:
    before = shards(exchange)
    name = str(uuid.uuid4())
    done = funds(exchange, *MOVE, "--yes", "--id", name)
    assert (done.returncode, done.stderr) == (0, "")
    assert "moved 25.5000 dollars from shard 0 to shard 2 (transfer " in done.stdout
    after = shards(exchange)
    assert after[0] == before[0] - 25.5
    assert after[2] == before.get(2, 0) + 25.5
    again = funds(exchange, *MOVE, "--yes", "--id", name)
    assert (again.returncode, again.stdout) == (
        0,
        f"transfer {name} was made before: nothing is moved again\n",
    )
    assert shards(exchange) == after


def test_a_lost_answer_moves_the_money_once(exchange: Exchange) -> None:
    before = shards(exchange)
    exchange.order("fault", kind="lose_answer", method="POST")
    done = funds(exchange, *MOVE, "--yes")
    assert done.returncode == 0
    assert "was made before" in done.stdout
    assert shards(exchange)[0] == before[0] - 25.5


def test_without_a_terminal_it_asks_for_yes_and_moves_nothing(exchange: Exchange) -> None:
    before = shards(exchange)
    done = funds(exchange, *MOVE)
    assert done.returncode == 2
    assert done.stderr == "funds: move asks at a terminal; allowed without one: --yes\n"
    assert shards(exchange) == before


@pytest.mark.parametrize(("answer", "moved"), [("yes\n", 25.5), ("y\n", 0.0)])
def test_at_a_terminal_only_the_whole_word_moves_it(
    exchange: Exchange, answer: str, moved: float
) -> None:
    before = shards(exchange)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        done = funds(exchange, *MOVE, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0
    assert "simulated: shard 0 has" in done.stderr
    assert shards(exchange)[0] == before[0] - moved


def test_too_much_is_refused_by_the_exchange(exchange: Exchange) -> None:
    done = funds(exchange, "move", "20000", "--from", "0", "--to", "1", "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert "funds: refused: " in done.stderr
    assert "insufficient_balance" in done.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("move", "0", "--from", "0", "--to", "1"), "dollars to four decimals"),
        (("move", "1.00001", "--from", "0", "--to", "1"), "dollars to four decimals"),
        (("move", "-5", "--from", "0", "--to", "1"), ""),
        (("move", "5", "--from", "1", "--to", "1"), "allowed: two shards"),
        (("move", "5", "--from", "0", "--to", "101"), "whole numbers from 0 to 100"),
        (("move", "5", "--from", "0", "--to", "1", "--id", "x"), "allowed: a UUID"),
        ((), ""),
    ],
)
def test_bad_input_is_one_line_and_2(exchange: Exchange, argv: tuple[str, ...], said: str) -> None:
    done = funds(exchange, *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_production_wants_the_confirmation_that_trading_wants(exchange: Exchange) -> None:
    done = funds(exchange, "list", KALSHI_TRADING_ENVIRONMENT="production")
    assert done.returncode == 2
    assert "KALSHI_PRODUCTION_CONFIRMED" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_exchange_that_is_away_is_one_line_and_1(exchange: Exchange) -> None:
    done = funds(exchange, "list", RL_EXCHANGE_PORT="1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
