"""What the version before left is used by this one: data folder, models, archive and database.

The old stack comes out of the repository's history and really runs: a session that a model traded
and that was archived, then one whose collector is killed and one more, both with most of their
records still unread in the journals. Then this version starts on that folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import asyncpg
import pytest
from support.leftovers import lives
from support.logged import events
from support.old_version import OldStack, check_out, run_old
from support.patience import eventually
from support.stack import ROOT, Stack

pytestmark = [pytest.mark.slow, pytest.mark.stack, pytest.mark.timeout(3_600)]

LONG = 600.0  # seconds for much to be decided, or compiled, on a slow machine
ENOUGH = 60  # decisions of each session

SETTINGS = {
    "RL_EXCHANGE_SPEED": "10",
    "RL_ACTOR_WARMUP_TICKS": "1",
    "RL_BOOK_LEVELS": "1200",  # as the old version calls it
}
MAKE_RECORDINGS = """
import sys
from pathlib import Path
from support.made_recording import write_recording
for n in range(3):
    start_ms = 1_785_930_000_000 + n * 60_000
    write_recording(Path(sys.argv[1]), seconds=60, seed=n, ticker=f"KXMADE-{n}", start_ms=start_ms)
"""
OLD_SETTINGS = """
contract-size-e2 = 500
market-cash-e6 = 50000000
timesteps = 20000
"""
MAKE_MODEL = """
import sys
from pathlib import Path
from support.made_models import QUOTES, make_model
make_model(Path(sys.argv[1]), "old", QUOTES, schema="OBSERVATION_V2", evaluation={})
"""
IN_USE = "is in use by another stack"
SECOND_START = "stream_id > 3"  # a start has a stream each of collector, inference and execution
TABLES = {
    "Tick": "rl_ticks",
    "ActorAction": "rl_actions",
    "Intent": "rl_intents",
    "ActorOrder": "rl_orders",
    "ActorFill": "rl_fills",
    "ActorPosition": "rl_positions",
    "AccountVersion": "rl_account_versions",
}


class Upgraded(NamedTuple):
    """This version's stack on the old folder, and what was there before it started."""

    stack: Stack
    archive: Path
    migrations: int  # that the old version did not have
    open_parts: list[str]  # of the folder, which others could read
    journals: list[dict[str, Any]]  # of the old version, as it reads them
    recorded: dict[str, int]  # rows of its second start in each table when its recorder had ended
    memory: list[Path]  # its shared tables
    first_action: dict[str, Any]


def number(stack: Stack, query: str) -> int:
    """A number from the stack's database, 0 while it does not answer."""
    try:
        return int(asyncio.run(stack.fetch(query))[0][0] or 0)
    except (OSError, IndexError, asyncpg.PostgresError):
        return 0


def count(stack: Stack, table: str, condition: str = "true") -> int:
    return number(stack, f"select count(*) from {table} where {condition}")


def old_tables(data_dir: Path) -> list[Path]:
    """Shared tables that are there under the names of the old version."""
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    return sorted(Path("/dev/shm").glob(f"kalshi-actor-{digest}-*"))


def is_open(path: Path) -> bool:
    """Whether others than its user may do anything with it."""
    return bool(os.lstat(path).st_mode & 0o077)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old version, ready to run."""
    return check_out(tmp_path_factory.mktemp("u") / "old")


@pytest.fixture(scope="module")
def upgraded(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """The folder of the old version with this version's stack on it, deciding."""
    folder = tmp_path_factory.mktemp("u") / "s"
    old = OldStack(checkout, folder, **SETTINGS, RL_ACTOR_STRATEGY="registry")
    new = Stack(folder, **SETTINGS, RL_ACTOR_STRATEGY="registry")
    try:
        archive = first_session(old)
        open_parts = [part.name for part in old.data_dir.iterdir() if is_open(part)]
        new.start()
        assert new.wait() == 2
        found = leave_unread(old)
        new.start()
        newer = {m.name for m in (ROOT / "migrations").glob("*.sql")}
        newer -= {m.name for m in (checkout / "migrations").glob("*.sql")}
        yield Upgraded(new, archive, len(newer), open_parts, *found, new.next_action())
    finally:
        new.close()
        old.close()


def first_session(old: OldStack) -> Path:
    """A session that a promoted model traded, closed by a stop, then archived -> its archive."""
    old.run("-c", MAKE_MODEL, str(old.data_dir))
    old.run("-m", "models.registry", "promote", "old", "--override", "to be upgraded")
    old.start()
    decided = "logits <> '{}'"
    eventually(lambda: count(old, "rl_actions", decided) >= ENOUGH, "session 1 is decided on", LONG)
    eventually(lambda: count(old, "rl_fills"), "the model trades", LONG)
    assert old.stop()[0] == 0
    old.environ["RL_ACTOR_STRATEGY"] = "baseline:random"
    old.start()
    eventually(lambda: count(old, "rl_orderbook_sessions") == 2, "session 2 is recorded", LONG)
    old.run("-m", "processes.recorder.sessions", "archive", "1")
    return next((old.data_dir / "archive").glob("*.parquet"))


def leave_unread(
    old: OldStack,
) -> tuple[list[dict[str, Any]], dict[str, int], list[Path]]:
    """Most of session 2, which ends in a kill, and all of session 3, in the journals alone."""
    eventually(lambda: count(old, "rl_fills", SECOND_START), "session 2 is traded", LONG)
    old.halt("recorder")
    recorded = {table: count(old, table, SECOND_START) for table in TABLES.values()}
    decide_on(old)
    old.kill("collector")
    decide_on(old)
    memory = old_tables(old.data_dir)
    assert old.stop(signal.SIGKILL)[0] == -signal.SIGKILL
    eventually(lambda: not lives(old.folder), "the programs see that supervisord is gone")
    return old.journals(), recorded, memory


def decide_on(stack: Stack) -> None:
    """Wait until the policy itself has decided for a while."""
    stack.deciding()
    for _ in range(ENOUGH):
        stack.next_action()


def ask(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m ...` of this version beside the stack."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=stack.environ,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


def answer(stack: Stack, *arguments: str) -> str:
    """What it prints when nothing is wrong."""
    done = ask(stack, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    print(*arguments, done.stdout, sep="\n")
    return done.stdout


def test_it_starts_and_follows_the_model_that_the_old_version_made_live(upgraded: Upgraded) -> None:
    assert upgraded.first_action["model"] == "onnx:old"
    said = upgraded.stack.said.rpartition("stack: warning")[2]
    assert "Traceback" not in said
    assert not re.search(r"Z error ", said)
    applied = [line for line in events(said) if "migrations_done" in line]
    assert applied == [f"migrate migrations_done applied={upgraded.migrations}"]


def test_it_is_refused_while_the_old_version_uses_the_folder(upgraded: Upgraded) -> None:
    assert upgraded.stack.said.count(IN_USE) == 1


def test_an_old_name_of_a_setting_is_read_with_one_warning(upgraded: Upgraded) -> None:
    said = upgraded.stack.said.rpartition(IN_USE)[2]
    lines = [line for line in said.splitlines() if "RL_BOOK_LEVELS" in line]
    assert lines == [
        "stack: warning: RL_BOOK_LEVELS is now called RL_BOOK_SLOTS; it is read, "
        "but set RL_BOOK_SLOTS instead"
    ]


def test_no_record_of_the_old_journals_is_missing_or_doubled(upgraded: Upgraded) -> None:
    stack = upgraded.stack
    producers = sorted(journal["producer"] for journal in upgraded.journals)
    assert producers == ["collector", "collector", "execution", "inference"]
    folders = [
        stack.data_dir / "journal" / journal["producer"] / journal["uid"]
        for journal in upgraded.journals
    ]
    eventually(lambda: not any(f.exists() for f in folders), "the old journals are recorded", LONG)
    for journal in upgraded.journals:
        name = f"{journal['producer']}/{journal['uid']}"
        here = f"stream_id = (select stream_id from rl_streams where stream = '{name}')"
        for kind, table in TABLES.items():
            assert count(stack, table, here) == journal["kinds"].get(kind, 0), (name, kind)
        if journal["producer"] == "collector":
            shown = json.loads(
                answer(stack, "processes.recorder.sessions", "show", journal["uid"], "--json")
            )
            assert shown["session"]["events"] == journal["events"] > 0
    for kind in ("Tick", "ActorAction", "ActorOrder"):  # most of them were read by this version
        written = sum(journal["kinds"].get(kind, 0) for journal in upgraded.journals)
        assert written >= upgraded.recorded[TABLES[kind]] + ENOUGH, kind


def test_every_session_is_listed_with_how_it_ended_and_is_whole(upgraded: Upgraded) -> None:
    sessions = ("processes.recorder.sessions",)
    rows = json.loads(answer(upgraded.stack, *sessions, "list", "--json"))
    ended = {row["session_id"]: row["status"] for row in rows}
    assert ended == {1: "closed", 2: "error", 3: "closed", 4: "active"}
    done = ask(upgraded.stack, *sessions, "verify", "1", "2", "3")
    assert (done.returncode, done.stdout.count("  0 errors\n")) == (0, 3), done.stdout


@pytest.mark.parametrize("session", ["1", "2", "3"])
def test_every_old_decision_is_rebuilt(upgraded: Upgraded, session: str) -> None:
    said = answer(upgraded.stack, "models.parity", session)
    assert said.endswith("\n0 differences\n")
    recomputed = re.search(r"actions of (\d+) recomputed", said)
    assert recomputed is not None
    assert (int(recomputed[1]) >= ENOUGH) == (session == "1")


def test_an_old_model_is_judged_alike_on_an_old_session_and_on_its_archive(
    upgraded: Upgraded,
) -> None:
    policy = ("--policy", "onnx:old")
    stored = answer(upgraded.stack, "models.evaluate", "--session", "1", *policy)
    archived = answer(
        upgraded.stack, "models.evaluate", "--archive", str(upgraded.archive), *policy
    )
    assert "onnx:old: net " in stored
    assert "onnx:old: net +0.0000 dollars" not in stored  # it trades
    assert archived == stored


def test_the_old_registry_is_read_and_goes_on(upgraded: Upgraded) -> None:
    listed = answer(upgraded.stack, "models.registry", "list")
    assert re.search(r"^old: live; OBSERVATION_V2; .*override .*: to be upgraded$", listed, re.M)
    assert re.search(r"^default: predecessor; OBSERVATION_V1;", listed, re.M)
    assert answer(upgraded.stack, "models.registry", "rollback").startswith("live default")
    assert answer(upgraded.stack, "models.registry", "promote", "old", "--override", "again")
    history = answer(upgraded.stack, "models.registry", "show")
    assert [line.split()[1] for line in history.splitlines()[1:]] == [
        "promote",
        "rollback",
        "promote",
    ]


def test_the_old_database_lets_nobody_in_without_its_new_password(upgraded: Upgraded) -> None:
    socket = quote(str(upgraded.stack.data_dir / "pg" / "sock"))

    async def connect() -> None:
        connection = await asyncpg.connect(f"postgresql://postgres:guess@/postgres?host={socket}")
        await connection.close()

    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(connect())
    assert count(upgraded.stack, "rl_orderbook_sessions") == 4


def test_what_others_could_read_is_closed_and_old_tables_leave_memory(upgraded: Upgraded) -> None:
    data_dir = upgraded.stack.data_dir
    assert {"archive", "journal", "models"} <= set(upgraded.open_parts)
    assert not [part for part in (data_dir, *data_dir.iterdir()) if is_open(part)]
    assert [path.name.rpartition("-")[2] for path in upgraded.memory] == ["accounts", "books"]
    assert old_tables(data_dir) == []


def this_version(*arguments: str) -> str:
    """What `python -m ...` of this version says, stderr too, when nothing is wrong."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.train
def test_an_old_training_run_goes_on_and_its_policy_is_exported_alike(
    checkout: Path, tmp_path: Path
) -> None:
    pytest.importorskip("stable_baselines3")
    recordings, settings, run = tmp_path / "recordings", tmp_path / "old.toml", tmp_path / "run"
    recordings.mkdir()
    settings.write_text(OLD_SETTINGS)
    train = ("models.train", "--config", str(settings), "--recordings", str(recordings))
    environ = {**os.environ}
    run_old(checkout, environ, "-c", MAKE_RECORDINGS, str(recordings))
    run_old(checkout, environ, "-m", *train, "--out", str(run))
    model, old, new = str(run / "model.zip"), tmp_path / "old", tmp_path / "new"
    run_old(checkout, environ, "-m", "models.export_onnx", model, "--out", str(old))
    this_version("models.export_onnx", model, "--out", str(new))
    assert (new / "policy.onnx").read_bytes() == (old / "policy.onnx").read_bytes()
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (old, new)]
    own = ("model_id", "revision")
    same = [{k: v for k, v in manifest.items() if k not in own} for manifest in manifests]
    assert same[1] == same[0] | {"fees_assumed": None}, "what the old version never wrote down"
    assert (same[1]["contract_size_e2"], same[1]["market_cash_e6"]) == (500, 50_000_000)
    (run / "model.zip").unlink()
    said = this_version(*train, "--out", str(run), "--resume")
    assert said.count("is now --contract-size, in contracts") == 1
    assert (run / "model.zip").exists()
