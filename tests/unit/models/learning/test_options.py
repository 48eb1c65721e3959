"""Flags of training and the file that may hold them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training_sessions import market

from models.learning.options import check, parse, select, settings_of, split_of
from models.learning.settings import TrainingSettings
from models.learning.splits import Curriculum
from models.trading.actions import Pricing

STANDARD = ["--recordings", "r", "--out", "o"]
REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Some of everything."""
    path = tmp_path / "training.toml"
    path.write_text(
        'recordings = ["a", "b"]\nout = "run"\ntimesteps = 1_000\nentropy = 0.01\n'
        'pricing = "mid"\nnormalise = true\ntrain-until = 2026-08-08\n'
    )
    return path


def test_a_file_holds_what_flags_hold(file: Path) -> None:
    options = parse(["--config", str(file)])
    check(options)
    assert options.recordings == [Path("a"), Path("b")]
    assert options.train_until == "2026-08-08"
    assert settings_of(options) == TrainingSettings(
        timesteps=1_000, entropy=0.01, pricing=Pricing.MID, normalise=True
    )


def test_flags_win(file: Path) -> None:
    flags = ["--timesteps", "5", "--recordings", "c", "--no-normalise", "--curriculum", "none"]
    options = parse(["--config", str(file), *flags])
    assert options.recordings == [Path("c")]
    settings = settings_of(options)
    assert (settings.timesteps, settings.entropy, settings.normalise) == (5, 0.01, False)
    assert settings.curriculum is Curriculum.NONE


@pytest.mark.parametrize("name", ["recordings", "archive", "session"])
def test_a_source_that_is_given_again_is_added(name: str) -> None:
    options = parse([f"--{name}", "a", f"--{name}", "b", "c", "--out", "o"])
    assert list(map(str, getattr(options, name))) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("timestep = 5", r"training\.toml: unknown name timestep; allowed: .*timesteps"),
        ("[learning]\nseed = 1", r"unknown name learning"),
        ("resume = true", r"unknown name resume"),
        ("seed = ", r"training\.toml is not a TOML file"),
    ],
)
def test_what_a_file_may_not_hold_is_named(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    with pytest.raises(ValueError, match=says):
        parse(["--config", str(file)])


def test_a_value_of_another_kind_is_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text('timesteps = "many"')
    with pytest.raises(SystemExit) as end:
        parse(["--config", str(file)])
    assert end.value.code == 2
    assert "--timesteps: invalid int value: 'many'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--recordings", "r"], "--out is missing"),
        (["--out", "o"], "--recordings, --archive, --session"),
        ([*STANDARD, "--n-envs", "0"], "invalid value 0 for --n-envs"),
        ([*STANDARD, "--stages", "0"], "invalid value 0 for --stages"),
        ([*STANDARD, "--patience", "-1"], "invalid value -1 for --patience"),
        ([*STANDARD, "--rolling", "1"], "invalid value 1 for --rolling"),
        ([*STANDARD, "--contract-size", "1.5"], "1.50 for --contract-size; allowed: 1, 2"),
        ([*STANDARD, "--market-cash", "0"], "invalid value 0.000000 for --market-cash"),
        ([*STANDARD, "--risk-aversion", "-1"], "invalid value -1.0 for --risk-aversion"),
        ([*STANDARD, "--validation-share", "0.5"], "up to the 0.4 that --train-share leaves"),
        ([*STANDARD, "--validation-until", "2026-08-08"], "needs --train-until"),
        ([*STANDARD, "--curriculum", "busy", "--timesteps", "9"], "a curriculum takes 4 stages"),
    ],
)
def test_what_means_nothing_is_named(arguments: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check(parse(arguments))


def test_amounts_are_contracts_and_dollars() -> None:
    asked = parse([*STANDARD, "--contract-size", "5", "--market-cash", "12.50"])
    settings = settings_of(asked)
    assert (settings.contract_size_e2, settings.market_cash_e6) == (500, 12_500_000)


def test_an_amount_that_is_no_number_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse([*STANDARD, "--market-cash", "much"])
    assert end.value.code == 2
    assert "--market-cash: amount 'much' is not a decimal number" in capsys.readouterr().err


def test_the_flags_of_an_earlier_version_are_read_with_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the command line and in a file."""
    asked = parse([*STANDARD, "--contract-size-e2", "500"])
    assert settings_of(asked).contract_size_e2 == 500
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2] for line in said] == [
        "--contract-size-e2 is now --contract-size, in contracts"
    ]
    file = tmp_path / "old.toml"
    file.write_text("market-cash-e6 = 10_000_000")
    assert settings_of(parse([*STANDARD, "--config", str(file)])).market_cash_e6 == 10_000_000
    assert capsys.readouterr().err.count("--market-cash-e6 is now --market-cash, in dollars") == 1


def test_dates_come_before_shares() -> None:
    markets = [market(f"2026-08-0{day}T08:00", events=2) for day in range(1, 7)]
    asked = parse([*STANDARD, "--since", "2026-08-02", "--train-until", "2026-08-03"])
    parts = split_of(asked, select(asked, markets)).as_names()
    assert parts["train"] == ("2026-08-02T08:00",)
    assert len(parts["validation"]) == 4
    parts = split_of(parse([*STANDARD, "--split", "days"]), markets).as_names()
    assert [len(part) for part in parts.values()] == [4, 1, 1]


def test_stages_are_whole_rollouts_and_end_where_they_should() -> None:
    assert TrainingSettings(timesteps=3_000_000).stage_ends()[-1] == 92 * 32_768
    assert TrainingSettings(timesteps=40_000, n_envs=16, stages=3).stage_ends() == (
        6 * 2_048,
        13 * 2_048,
        20 * 2_048,
    )
    assert TrainingSettings(algorithm="a2c", n_envs=2, timesteps=1).stage_ends() == (32,)


def test_the_manifest_says_what_was_rewarded() -> None:
    asked = settings_of(parse([*STANDARD, "--reward", "risk", "--risk-aversion", "2"]))
    assert asked.network().items() >= {("reward", "risk"), ("risk_aversion", 2.0)}
    assert TrainingSettings().network()["reward"] == "liquidation"
    assert "risk_aversion" not in TrainingSettings().network()


def test_the_file_of_the_shipped_model_is_a_training() -> None:
    options = parse(
        ["--config", str(REPOSITORY / "models" / "learning" / "default.toml"), *STANDARD]
    )
    check(options)
    assert settings_of(options).seed == 1
