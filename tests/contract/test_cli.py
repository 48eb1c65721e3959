"""`kalshi-actor`: help that teaches, exit codes, one flag for one thing, completion."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from ipc import __version__
from processes.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
WANTED = {
    *("run", "check", "sessions", "train", "evaluate", "export", "models", "parity", "verify"),
    *("exchange", "funds"),
}
HELP_CPU_S = 0.5
SUBCOMMANDS = [
    *(("sessions", name) for name in ("list", "show", "verify", "archive", "import", "delete")),
    *(("models", name) for name in ("list", "show", "promote", "rollback", "shadow")),
    *(("funds", name) for name in ("list", "move")),
]


def cli(*argv: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """`python -m processes.cli`, in an environment that names nothing of ours."""
    foreign = re.compile("RL_|KALSHI_|ORDERBOOK_|DATABASE_URL")
    inherited = {k: v for k, v in os.environ.items() if not foreign.match(k)}
    return subprocess.run(
        [sys.executable, "-m", "processes.cli", *argv],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **environ},
        capture_output=True,
        text=True,
        timeout=110,
        stdin=subprocess.DEVNULL,
    )


def test_the_console_script_is_this_program() -> None:
    scripts = entry_points(group="console_scripts")
    assert scripts["kalshi-actor"].value == "processes.cli.main:main"


def test_the_commands_that_users_were_promised_are_there() -> None:
    assert COMMANDS.keys() >= WANTED


def test_help_names_every_command_and_costs_little() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = cli("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, "")
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.what)}$", done.stdout, re.M)
    assert "0 good, 1 the answer is no, 2 bad input" in done.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < HELP_CPU_S


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.sample(4)
def test_the_help_of_a_command_has_its_name_examples_and_the_data_folder(
    name: str, tmp_path: Path
) -> None:
    done = cli(name, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: kalshi-actor {name} ")
    for example in COMMANDS[name].examples:
        assert f"  {example}\n" in done.stdout
    assert "--data-dir" in done.stdout
    assert "xit codes: 0" in done.stdout
    assert list(tmp_path.iterdir()) == [], "asking for help makes nothing"


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_begins_with_the_command_itself(name: str) -> None:
    for example in COMMANDS[name].examples:
        assert f"kalshi-actor {name}" in example


@pytest.mark.parametrize("words", SUBCOMMANDS, ids=" ".join)
@pytest.mark.sample(3)
def test_what_is_below_a_command_has_the_data_folder_too(words: tuple[str, str]) -> None:
    done = cli(*words, "--help")
    assert done.returncode == 0
    assert "--data-dir" in done.stdout
    assert ("--json" in done.stdout) == (words[1] in ("list", "show") or words[1] == "verify")


def test_the_version() -> None:
    done = cli("--version")
    assert (done.returncode, done.stdout) == (0, f"kalshi-actor {__version__}\n")


def test_no_command_at_all_shows_the_help_as_an_error() -> None:
    done = cli()
    assert (done.returncode, done.stdout) == (2, "")
    assert "kalshi-actor COMMAND --help" in done.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("trian",), "kalshi-actor: argument COMMAND: invalid choice: 'trian'"),
        (("sessions", "lst"), "sessions: argument COMMAND: invalid choice: 'lst'"),
        (("parity",), "parity: the following arguments are required: session"),
        (("run", "now"), "run: unrecognized arguments: now"),
        (("check", "--environment", "paper"), "stack: argument --environment: invalid choice"),
        (("models", "show", "nobody"), "registry: model 'nobody': "),
        (("--data-dir", " ", "models", "list"), "kalshi-actor: argument --data-dir: names no fol"),
        (("completion", "cmd"), "completion: argument shell: invalid choice"),
    ],
)
@pytest.mark.sample(3)
def test_bad_input_is_one_line_and_2(argv: tuple[str, ...], said: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = cli(*argv, RL_DATA_DIR=str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [
        ("--data-dir", "{}", "models", "show"),
        ("models", "--data-dir", "{}", "show"),
        ("models", "show", "--data-dir", "{}"),
    ],
)
@pytest.mark.sample(1)
def test_the_data_folder_may_be_named_anywhere(argv: tuple[str, ...], tmp_path: Path) -> None:
    """An empty folder: the shipped model is live, nothing else."""
    wrong = str(tmp_path / "nowhere")
    done = cli(*(word.format(tmp_path) for word in argv), RL_DATA_DIR=wrong)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "live default, shadow none, predecessor none\n"


def test_a_command_that_reads_settings_takes_the_folder_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = cli("check", "--data-dir", str(tmp_path / "file" / "x"), "--environment", "production")
    assert done.returncode == 2
    assert done.stderr.startswith(f"stack: RL_DATA_DIR={tmp_path}/file/x cannot be")
    done = cli("check", "--data-dir", str(tmp_path), "--environment", "production")
    assert done.stderr.startswith("stack: KALSHI_PRODUCTION_CONFIRMED=''")


def test_models_for_programs(tmp_path: Path) -> None:
    listed = json.loads(cli("models", "list", "--json", "--data-dir", str(tmp_path)).stdout)
    assert [model["model_id"] for model in listed] == ["default"]
    (model,) = listed
    assert (model["role"], model["contract_size"], model["market_cash"]) == (
        "live",
        "10.00",
        "100.000000",
    )
    assert model["not_beaten"]
    shown = cli("models", "show", "default", "--json", "--data-dir", str(tmp_path))
    assert json.loads(shown.stdout) == model
    active = json.loads(cli("models", "show", "--json", "--data-dir", str(tmp_path)).stdout)
    assert active == {
        "live": {"model_id": "default", "onnx_sha256": model["onnx_sha256"]},
        "shadow": None,
        "predecessor": None,
        "history": [],
    }
    unknown = cli("models", "show", "nobody", "--json", "--data-dir", str(tmp_path))
    assert (unknown.returncode, unknown.stdout) == (2, "")


def test_a_model_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    broken = tmp_path / "models" / "broken"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("{")
    done = cli("models", "list", "--json", "--data-dir", str(tmp_path))
    assert done.returncode == 0
    first, second = json.loads(done.stdout)
    assert (first["model_id"], second["model_id"]) == ("default", "broken")
    assert second.keys() == {"model_id", "error"}


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path: Path) -> None:
    command = f"{sys.executable} -m processes.cli settings | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.startswith("# Every variable")
    assert done.stderr == ""


def completions(line: str, tmp_path: Path) -> set[str]:
    """What a shell is told of the last word of a line."""
    answer = tmp_path / "answer"
    done = cli(
        _ARGCOMPLETE="1",
        _ARGCOMPLETE_IFS="\n",
        _ARGCOMPLETE_STDOUT_FILENAME=str(answer),
        _ARGCOMPLETE_SUPPRESS_SPACE="1",
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
        cwd=tmp_path,
        RL_DATA_DIR=str(tmp_path / "data"),
    )
    assert done.returncode == 0, done.stderr
    return set(answer.read_text().split("\n"))


def test_a_shell_completes_commands_and_their_flags(tmp_path: Path) -> None:
    assert completions("kalshi-actor e", tmp_path) == {"exchange", "export", "evaluate"}
    assert completions("kalshi-actor sessions li", tmp_path) == {"list"}
    assert completions("kalshi-actor evaluate --pol", tmp_path) == {"--policy"}
    assert completions("kalshi-actor --data-dir x models list --j", tmp_path) == {"--json"}
    assert completions("kalshi-actor train --algorithm ", tmp_path) == {"ppo", "a2c"}


def test_completing_a_program_starts_nothing(tmp_path: Path) -> None:
    for line in ("kalshi-actor exchange ", "kalshi-actor check --", "kalshi-actor run --e"):
        completions(line, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"answer"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_code(shell: str) -> None:
    done = cli("completion", shell)
    assert done.returncode == 0
    assert "kalshi-actor" in done.stdout


def test_the_settings_are_the_committed_examples() -> None:
    assert cli("settings").stdout == (ROOT / ".env.example").read_text()
    demo = cli("settings", "--environment", "demo")
    assert demo.stdout == (ROOT / ".env.demo.example").read_text()


def test_a_supervisord_of_another_python_says_what_to_call(tmp_path: Path) -> None:
    """One that has supervisor and nothing of ours, as a distribution's has."""
    import supervisor

    (tmp_path / "supervisor").symlink_to(Path(supervisor.__file__).parent)
    done = subprocess.run(
        [
            *(sys.executable, "-S", "-c"),
            "import sys; from supervisor.supervisord import main; main(sys.argv[1:])",
            *("-c", str(ROOT / "supervisord.conf")),
        ],
        cwd="/",
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"], "RL_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    assert ".venv/bin/supervisord" in line
    assert "kalshi-actor run" in line
