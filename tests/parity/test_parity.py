"""A stack trades live; then every decision is rebuilt from what it recorded."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import numpy as np
import pytest
from support.made_models import BUYS_YES, QUOTES, make_model
from support.patience import PATIENCE
from support.stack import CHECKOUT, ROOT, Stack, eventually

from models.observation.builder import OBSERVATION_V2

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1_800)]

LONG = 600.0  # seconds for much to be decided, or compiled, on a slow machine

SEEN = "select count(*) from rl_actions where observation_hash <> ''"
FILLS = "select count(*) from rl_fills"
SESSION = "select session_id from rl_orderbook_sessions"


@pytest.fixture
def trading(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Starts a stack on ten times faster synthetic markets."""
    started: list[Stack] = []

    def start(**environ: str) -> Stack:
        stack = Stack(tmp_path / "stack", RL_EXCHANGE_SPEED="10", **environ)
        started.append(stack)
        stack.start()
        return stack

    yield start
    for stack in started:
        stack.close()


def ask(stack: Stack, query: str) -> int:
    """A number from the stack's database, 0 while it does not answer."""
    try:
        return int(asyncio.run(stack.fetch(query))[0][0] or 0)
    except (OSError, IndexError, asyncpg.PostgresError):
        return 0


def parity(stack: Stack, session: str, checkout: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """`python -m models.parity` beside the running stack."""
    return subprocess.run(
        [sys.executable, "-m", "models.parity", session],
        cwd=checkout,
        env=stack.environ,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        ("baseline:random", 500),
        pytest.param("onnx:default", 500, marks=pytest.mark.slow),
        pytest.param("baseline:random", 2_000, marks=pytest.mark.slow),
        pytest.param("baseline:market_maker", 500, marks=pytest.mark.slow),
    ],
)
def test_every_decision_of_a_live_session_is_rebuilt(
    trading: Callable[..., Stack], strategy: str, wanted: int
) -> None:
    stack = trading(RL_ACTOR_STRATEGY=strategy, RL_EXCHANGE_MARKETS="8")
    eventually(lambda: ask(stack, SEEN) >= wanted, f"{wanted} decisions are recorded", LONG)
    if strategy.startswith("baseline:"):
        eventually(lambda: ask(stack, FILLS), "something is traded: the account changes", LONG)
    done = parity(stack, str(ask(stack, SESSION)))
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    counts = re.search(r"(\d+) ticks, (\d+) decisions, of which (\d+) without", done.stdout)
    assert counts is not None
    assert int(counts[2]) - int(counts[3]) >= wanted
    recomputed = re.search(r"actions of (\d+) recomputed", done.stdout)
    assert recomputed is not None
    assert (int(recomputed[1]) > wanted // 2) == (strategy == "onnx:default")
    assert done.stdout.endswith("\n0 differences\n")


def registry(stack: Stack, *command: str) -> None:
    """`python -m models.registry` beside the running stack."""
    done = subprocess.run(
        [sys.executable, "-m", "models.registry", *command],
        cwd=ROOT,
        env=stack.environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_models_that_take_turns_in_a_session_are_rebuilt(trading: Callable[..., Stack]) -> None:
    stack = trading(RL_ACTOR_STRATEGY="registry")
    data_dir = Path(stack.environ["RL_DATA_DIR"])
    make_model(data_dir, "buys", BUYS_YES, schema="OBSERVATION_V2")
    logits = "select count(*) from rl_actions where logits <> '{}'"

    def wait(model: str, shadow: bool, wanted: int = 200) -> None:
        mine = f"{logits} and model = 'onnx:{model}' and shadow = {shadow}"
        eventually(lambda: ask(stack, mine) >= wanted, f"{model} decides, shadow {shadow}", LONG)

    wait("default", shadow=False)
    registry(stack, "shadow", "buys")
    wait("buys", shadow=True)
    with stack.feed() as feed:
        told = feed.until("actor_shadow", lambda data: data["agrees"] is not None)
    assert (told["live_model"], told["model"]) == ("onnx:default", "onnx:buys")
    assert ask(stack, "select count(*) from rl_intents") == 0
    registry(stack, "promote", "buys")
    wait("buys", shadow=False)
    registry(stack, "shadow", "default")
    wait("default", shadow=True)
    assert ask(stack, "select count(*) from rl_intents where model <> 'onnx:buys'") == 0
    assert ask(stack, f"{SEEN} and shadow and intent_id is not null") == 0
    done = parity(stack, str(ask(stack, SESSION)))
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.endswith("\n0 differences\n")
    assert "checked by recorded logits" not in done.stdout


def seen(stack: Stack) -> dict[str, np.ndarray]:
    """Every recorded OBSERVATION_V2, float by float: name -> values."""
    query = "select observation from rl_actions where observation_hash <> '' order by record_no"
    rows = asyncio.run(stack.fetch(query))
    floats = np.array([np.frombuffer(row["observation"], "<f4") for row in rows])
    return dict(zip(OBSERVATION_V2.names, floats.T, strict=True))


def saw_every_place(stack: Stack) -> bool:
    """Whether decisions saw no order, one of unknown place, many places, nobody ahead."""
    saw = seen(stack)
    rests, known = saw["has_bid"] + saw["has_ask"] > 0, saw["queue_known"] == 1
    assert not (known & ~rests).any()
    counts = [int(n.sum()) for n in (rests, known, saw["queue_ahead"] > 0, rests & ~known)]
    print("rests, known, somebody ahead, not known:", counts)
    return min(counts) > 0 and len(np.unique(saw["queue_ahead"])) > 10


def another_formula(folder: Path) -> Path:
    """A checkout whose `queue_ahead` is another under the same schema hash."""
    folder.mkdir()
    for name in CHECKOUT:
        if name != "models":
            (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "models", folder / "models")  # with the kernels that stay as they are
    source = folder / "models" / "observation" / "v2.py"
    was = source.read_text()
    assert was.count("_signed_log(ahead_e2 / 100.0)") == 1
    source.write_text(was.replace("_signed_log(ahead_e2 / 100.0)", "_signed_log(ahead_e2 / 101.0)"))
    return folder


@pytest.mark.slow
def test_decisions_that_saw_their_place_in_the_queue_are_rebuilt(
    trading: Callable[..., Stack], tmp_path: Path
) -> None:
    make_model(tmp_path / "stack" / "data", "quotes", QUOTES, schema="OBSERVATION_V2")
    stack = trading(RL_ACTOR_STRATEGY="onnx:quotes")
    eventually(lambda: ask(stack, SEEN) >= 500, "500 decisions are recorded", LONG)
    eventually(lambda: ask(stack, FILLS), "something is traded", LONG)
    eventually(lambda: saw_every_place(stack), "every kind of place in the queue is seen", LONG)
    done = parity(stack, str(ask(stack, SESSION)))
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.endswith("\n0 differences\n")
    other = parity(stack, str(ask(stack, SESSION)), another_formula(tmp_path / "other"))
    assert (other.returncode, other.stderr) == (1, ""), other.stdout
    named = set(re.findall(r"^  (\w+): recorded", other.stdout, re.MULTILINE))
    assert named == {"queue_ahead"}


@pytest.mark.slow
def test_what_cannot_be_rebuilt_is_said(trading: Callable[..., Stack]) -> None:
    stack = trading(RL_ACTOR_ENABLED="false")
    eventually(lambda: ask(stack, SESSION), "a session is recorded")
    unknown = parity(stack, "nothing")
    assert unknown.returncode == 2
    said = "parity: session 'nothing' is not stored; allowed: latest, id, uid (newest ids: "
    assert unknown.stderr.startswith(said)
    assert unknown.stderr.count("\n") == 1
