"""Bad input: one line that names the thing, its value and what is allowed, exit code 2, no more.

Through the real `supervisord -c supervisord.conf`; then the programs alone, for those who start one
by hand.
"""

from __future__ import annotations

import fcntl
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.exchange import write_recording
from support.leftovers import lives
from support.postgres import Database
from support.refusals import line_of_program, line_of_stack
from support.stack import ROOT, Stack, eventually, free_ports

from ipc.shared_file import SharedFile, remove_tables, shared_path
from processes.adapters.kalshi.auth.credentials import Algorithm, new_credentials

Start = Callable[..., Stack]
MODEL = ROOT / "models" / "default"
PROCESSES = (
    *("exchange", "collector", "recorder", "inference", "execution", "watchdog", "broadcaster"),
)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Start]:
    """Starts one stack and leaves none behind."""
    started: list[Stack] = []

    def start(**environ: str) -> Stack:
        stack = Stack(tmp_path / "stack", **environ)
        started.append(stack)
        stack.start()
        return stack

    yield start
    for one in started:
        one.close()


SETTINGS = [
    ("RL_EXCHANGE_SPEED", "fast", "is not a number; allowed: 0.0 to 10000.0"),
    ("RL_BROADCASTER_PORT", "80a", "is not a whole number; allowed: 0 to 65535"),
    ("RL_ACTOR_TICK_THROTTLE_MS", "-1", "is out of range; allowed: 0 to 3600000"),
    ("RL_ACTOR_MARKET_CASH", "much", "is not an amount of dollars, such as 100.00"),
    ("RL_ACTOR_ENABLED", "perhaps", "is not a truth value; allowed: true, false"),
    ("KALSHI_TRADING_ENVIRONMENT", "paper", "allowed: simulated, demo, production"),
    ("KALSHI_DATA_ENVIRONMENT", "paper", "allowed: simulated, demo, production"),
    ("RL_ACTOR_STRATEGY", "magic", "allowed: onnx:<model>, baseline:hold, baseline:"),
    ("RL_ACTOR_STRATEGY", "baseline:luck", "allowed: onnx:<model>, baseline:hold, baseline:"),
    ("RL_ACTOR_STRATEGY", "onnx:absent", "/models/absent, allowed: default"),
    ("RL_MARKET_MODE", "hot", "allowed: discovery, config"),
    ("RL_ENDPOINT_INTENTS", "somewhere", "allowed: tcp://host:port, ipc://path"),
    ("RL_EXCHANGE_REPLAY", "/nowhere.ndjson", "no such file or folder"),
    ("RL_EXCHANGE_FAULTS", '[{"kind": "flood"}]', "kind='flood' is unknown; allowed: clear,"),
    ("DATABASE_URL", "postgresql://nosuchhost.invalid/x", "allowed: postgresql://user:password"),
    ("DATABASE_URL", "postgresql://127.0.0.1:1/x", "refused; allowed: postgresql://user:password"),
]


@pytest.mark.parametrize(("variable", "value", "rest"), SETTINGS)
@pytest.mark.sample(3)
def test_a_setting(stack: Start, variable: str, value: str, rest: str) -> None:
    line = line_of_stack(stack(**{variable: value}))
    assert line.startswith((f"stack: {variable}={value}", f"stack: {variable}={value!r}"))
    assert rest in line


NOT_A_KEY = "-----BEGIN PRIVATE KEY-----\\nc2VjcmV0\\n-----END PRIVATE KEY-----"
LIVE = {
    "demo": ("KALSHI_PAPER_TRADING_", {"KALSHI_TRADING_ENVIRONMENT": "demo"}),
    "production": (
        "KALSHI_TRADING_",
        {"KALSHI_TRADING_ENVIRONMENT": "production", "KALSHI_PRODUCTION_CONFIRMED": "true"},
    ),
}


@pytest.mark.parametrize("environment", LIVE)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "{0}API_KEY_ID is empty; {1} needs the id of an API key"),
        (
            {"API_KEY_ID": "id"},
            "{0}PRIVATE_KEY_PATH and {0}PRIVATE_KEY_CONTENT are both empty; {1} needs one",
        ),
        (
            {"API_KEY_ID": "id", "PRIVATE_KEY_CONTENT": NOT_A_KEY},
            "{0}PRIVATE_KEY_CONTENT is not an unencrypted private key in PEM form; "
            "allowed: RSA, Ed25519",
        ),
        (
            {"API_KEY_ID": "id", "PRIVATE_KEY_PATH": "/dev/null/key.pem"},
            "{0}PRIVATE_KEY_PATH (not shown) cannot be read: Not a directory",
        ),
    ],
)
@pytest.mark.sample(2)
def test_a_live_environment_without_a_key_that_signs(
    stack: Start, environment: str, given: dict[str, str], said: str
) -> None:
    """Refused before anything is connected to: the database that cannot be reached is not named."""
    prefix, live = LIVE[environment]
    keys = {prefix + part: value for part, value in given.items()}
    nowhere = "postgresql://127.0.0.1:1/x"
    line = line_of_stack(stack(**live, **keys, DATABASE_URL=nowhere))
    assert line == "stack: " + said.format(prefix, environment)


def test_production_without_its_confirmation(stack: Start) -> None:
    line = line_of_stack(stack(KALSHI_TRADING_ENVIRONMENT="production"))
    assert line.startswith("stack: KALSHI_PRODUCTION_CONFIRMED='': a safety check against")
    assert "accidental production trades" in line
    assert line.endswith("allowed: KALSHI_PRODUCTION_CONFIRMED=true")


@pytest.mark.parametrize(
    ("name", "content", "rest"),
    [
        ("bad.ndjson", b"not json\n", "bad.ndjson:1: not a recorded line"),
        ("bad.ndjson", b"", "no orderbook_snapshot in it"),
        ("bad.ndjson.gz", b"\x1f\x8b\x08damaged", "bad.ndjson.gz:1: damaged compression"),
        ("notes.txt", b"", "no recordings in it; allowed: *.ndjson.gz, *.jsonl.gz"),
    ],
)
@pytest.mark.sample(1)
def test_a_malformed_recording(
    stack: Start, tmp_path: Path, name: str, content: bytes, rest: str
) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / name).write_bytes(content)
    line = line_of_stack(stack(RL_EXCHANGE_REPLAY=str(folder)))
    assert line.startswith(f"stack: RL_EXCHANGE_REPLAY={folder} cannot be replayed: {folder}")
    assert rest in line


@pytest.mark.parametrize("variable", ["RL_BROADCASTER_PORT", "RL_EXCHANGE_PORT"])
@pytest.mark.sample(1)
def test_an_occupied_port(stack: Start, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        line = line_of_stack(stack(**{variable: str(port)}))
    reason = "cannot be used: address already in use; choose a free port"
    assert line == f"stack: {variable}={port} on 127.0.0.1 {reason}"


def checked(stack: Stack) -> tuple[int, str]:
    """`python -m processes.check` in the stack's folder and environment -> exit code, output."""
    done = subprocess.run(
        [sys.executable, "-m", "processes.check"],
        cwd=ROOT, env=stack.environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("variable", ["RL_BROADCASTER_PORT", "RL_EXCHANGE_PORT"])
@pytest.mark.sample(1)
def test_the_check_alone_sees_an_occupied_port(tmp_path: Path, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        code, said = checked(Stack(tmp_path, **{variable: port}))
    assert code == 2
    assert said.startswith(f"stack: {variable}={port} on 127.0.0.1 cannot be used: address")
    assert len(said.splitlines()) == 1


def test_the_check_alone_sees_a_data_folder_in_use(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    stack.data_dir.mkdir()
    with (stack.data_dir / "stack.lock").open("w") as lock:
        lock.write("12345\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, said = checked(stack)
    assert (code, said) == (
        2,
        f"stack: RL_DATA_DIR={stack.data_dir} is in use by another stack (pid 12345); "
        "stop that one or choose another folder\n",
    )
    assert checked(stack) == (0, "")


def test_one_port_for_two(stack: Start) -> None:
    line = line_of_stack(stack(RL_EXCHANGE_PORT="18070", RL_EXCHANGE_ADMIN_PORT="18070"))
    assert line.startswith("stack: RL_EXCHANGE_ADMIN_PORT=18070 is RL_EXCHANGE_PORT too")


@pytest.mark.parametrize("below", ["", "data"])
@pytest.mark.sample(1)
def test_a_data_folder_that_is_none(stack: Start, tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.touch()
    line = line_of_stack(stack(RL_DATA_DIR=str(file / below)))
    assert line.startswith(f"stack: RL_DATA_DIR={file / below} cannot be written: ")
    assert line.endswith("; choose a writable folder")


@pytest.mark.parametrize("part", ["journal", "pg"])
@pytest.mark.sample(1)
def test_a_data_folder_with_a_file_in_the_place_of_a_folder(
    stack: Start, tmp_path: Path, part: str
) -> None:
    data = tmp_path / "stack" / "data"
    data.mkdir(parents=True)
    (data / part).touch()
    line = line_of_stack(stack(), part)
    assert line.startswith(f"stack: RL_DATA_DIR={data} cannot be used: {data / part} must be")


def broken_model(data_dir: Path) -> str:
    """A strategy whose model's file is not the one of its manifest any more."""
    folder = data_dir / "models" / "mine"
    shutil.copytree(MODEL, folder)
    with (folder / "policy.onnx").open("ab") as file:
        file.write(b"\0")
    return "onnx:mine"


def assert_both_hashes_named(line: str, who: str) -> None:
    assert line.startswith(f"{who}: RL_ACTOR_STRATEGY='onnx:mine': model 'mine': sha256 of policy")
    said, _, meant = line.rpartition(", its manifest says ")
    assert meant.strip() in (MODEL / "manifest.json").read_text()
    assert said.split()[-1] != meant.strip()


def test_a_model_with_a_wrong_hash(stack: Start, tmp_path: Path) -> None:
    strategy = broken_model(tmp_path / "stack" / "data")
    assert_both_hashes_named(line_of_stack(stack(RL_ACTOR_STRATEGY=strategy), "models"), "stack")


@contextmanager
def foreign_table(data_dir: Path, name: str) -> Iterator[str]:
    """A table that another version of this program left in memory -> what is said of it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = shared_path(data_dir, name)
    SharedFile.create(path, magic=7, layout=99, shape=(1,), body_words=8).close()
    try:
        yield f"{path}: table layout 99 (magic 0x7) is not the layout"
    finally:
        remove_tables(data_dir)


@pytest.mark.parametrize("table", ["books", "accounts"])
@pytest.mark.sample(1)
def test_a_table_of_another_layout(stack: Start, tmp_path: Path, table: str) -> None:
    with foreign_table(tmp_path / "stack" / "data", table) as said:
        line = line_of_stack(stack(), "tables")
    assert line.startswith(f"stack: {said}")
    assert line.endswith("of this program; stop what uses it and remove the file")


def test_a_database_that_is_not_there(stack: Start, database: Database) -> None:
    line = line_of_stack(stack(DATABASE_URL=database.server.dsn("nowhere")))
    assert "cannot be used: the database does not exist; allowed: " in line


def test_a_database_of_a_newer_version(stack: Start, database: Database) -> None:
    database.fetch("insert into schema_migrations values ('29990101000000')")
    line = line_of_stack(stack(DATABASE_URL=database.dsn))
    assert "29990101000000, which this program does not know" in line


def test_a_stop_while_the_database_is_waited_for(stack: Start) -> None:
    running = stack(DATABASE_URL="postgresql://127.0.0.1:1/x")
    eventually(lambda: len(lives(running.folder)) > 1, "the check runs beside supervisord")
    code, _ = running.stop(signal.SIGINT)
    assert code == 0
    assert running.said == ""
    eventually(lambda: not lives(running.folder), "the check has ended too")


def test_what_shows_only_later_ends_the_stack_with_its_line_last(
    stack: Start, tmp_path: Path
) -> None:
    """A long recording is not read through before the start."""
    noise = np.random.default_rng(1).bytes(5 << 20).hex()
    levels = {"yes_dollars_fp": [["0.4000", "9.00"]], "no_dollars_fp": [["0.5000", "9.00"]]}
    book = {"market_ticker": "KXLATE-1", "market_id": "m", **levels}
    event = {"type": "orderbook_snapshot", "sid": 1, "seq": 1, "msg": book}
    broken = {"type": "orderbook_delta", "sid": 1, "seq": 2, "msg": {}}
    frames = [
        {"recv_ms": 1_785_930_000_000, "event": event},
        {"recorder": "noise", "info": {"noise": noise}},
        {"recv_ms": 1_785_930_000_500, "event": broken},
    ]
    write_recording(tmp_path / "recordings", "KXLATE-1", frames, 1_785_930_000_000)
    path = tmp_path / "recordings" / "KXLATE-1.ndjson.gz"
    running = stack(RL_EXCHANGE_REPLAY=str(path), RL_EXCHANGE_SPEED="0")
    assert running.wait() == 2, running.said
    last = running.said.splitlines()[-1]
    assert last.startswith(f"stack: ended by exchange: exchange: RL_EXCHANGE_REPLAY={path} cannot")
    assert f"{path}:3: " in last
    assert_gone(running)


def test_a_program_that_fails_at_the_same_thing_again_and_again_ends_the_stack(
    stack: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    command = "command=python -m processes.recorder\n"
    committed = (ROOT / "supervisord.conf").read_text()
    assert command in committed
    failing = "command=python -c \"raise SystemExit('no luck at 12:34')\"\n"
    (folder / "supervisord.conf").write_text(committed.replace(command, failing))
    running = stack()
    assert running.wait() == 1, running.said
    reason = "ended 3 times of the same cause: no luck at 12:34"
    assert running.said.splitlines()[-1] == f"stack: ended by recorder: {reason}"
    assert_gone(running)


def test_a_stop_while_the_first_database_is_made_leaves_no_half_of_it(stack: Start) -> None:
    running = stack()
    eventually(lambda: [*running.data_dir.glob("pg/data18.new/*")], "initdb has begun")
    code, _ = running.stop(signal.SIGINT)
    assert code == 0
    assert_gone(running)


def assert_gone(stack: Stack) -> None:
    """No program is left, no half of a database, and nobody had to be told in a traceback."""
    assert lives(stack.folder) == {}
    assert [*stack.data_dir.rglob("data18.new")] == []
    assert "Traceback" not in stack.said


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.sample(2)
def test_a_program_alone_refuses_a_setting(process: str, tmp_path: Path) -> None:
    line = line_of_program(process, tmp_path, RL_ACTOR_WARMUP_TICKS="ten")
    assert line == (
        f"{process}: RL_ACTOR_WARMUP_TICKS='ten' is not a whole number; allowed: 0 to 10000"
    )


def test_inference_alone_refuses_a_model_with_a_wrong_hash(tmp_path: Path) -> None:
    strategy = broken_model(tmp_path)
    line = line_of_program("inference", tmp_path, RL_ACTOR_STRATEGY=strategy)
    assert_both_hashes_named(line, "inference")


@pytest.mark.parametrize(
    ("process", "table"),
    [
        ("collector", "books"),
        ("execution", "accounts"),
        ("inference", "books"),
        ("broadcaster", "books"),
    ],
)
@pytest.mark.sample(1)
def test_a_program_alone_refuses_a_table_of_another_layout(
    process: str, table: str, tmp_path: Path
) -> None:
    """With a key of the demo exchange, so that none of them waits for the local one first."""
    key = new_credentials("key", Algorithm.ED25519).private_key_pem()
    demo = {
        "KALSHI_TRADING_ENVIRONMENT": "demo",
        "KALSHI_PAPER_TRADING_API_KEY_ID": "key",
        "KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT": key,
    }
    port = str(free_ports(1)[0])
    with foreign_table(tmp_path, table) as said:
        line = line_of_program(process, tmp_path, **demo, RL_BROADCASTER_PORT=port)
    assert line.startswith(f"{process}: {said}")
