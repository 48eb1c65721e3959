"""A user's own strategy: the example of docs/strategies.md, and everything that can be wrong."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from support.made_recording import write_recording

from models import evaluate
from models.observation.builder import OBSERVATION_V2
from models.policies.onnx import load_strategy
from models.policies.python_policy import FOLDER, StrategyError, load_python
from models.trading.actions import Action

DOCUMENT: Final = Path(__file__).resolve().parents[4] / "docs" / "strategies.md"
HEAD: Final = """
import numpy as np
from models.observation.builder import builder_of
from models.policies.interface import Decisions
class Mine:
    builder = builder_of("OBSERVATION_V2")
    def decide(self, observations, masks):
        n = len(observations)
"""
HOLDS: Final = HEAD + "        return Decisions(np.zeros(n, int), np.zeros((n, 5)), None)\n"


@pytest.fixture(autouse=True)
def forgets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No module and no folder of one test is there in the next."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("mine", "flow_follower")):
            del sys.modules[name]


def put(data_dir: Path, text: str, name: str = "mine") -> Path:
    """A module in the folder of strategies."""
    folder = data_dir / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def example() -> str:
    found = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found
    return found[1]


# The example


def test_the_example_is_at_most_forty_lines_and_follows_the_flow(tmp_path: Path) -> None:
    assert len(example().splitlines()) <= 40
    put(tmp_path, example(), "flow_follower")
    policy = load_strategy("python:flow_follower.FlowFollower", data_dir=tmp_path)
    assert policy.model == "python:flow_follower.FlowFollower"
    seen = np.zeros((4, policy.builder.size), np.float32)
    feature = OBSERVATION_V2.names.index
    seen[:, feature("time_to_close")] = 0.9
    seen[:, feature("spread_ticks")] = (0.1, 0.1, 0.3, 0.1)
    seen[:, feature("trade_flow_15s")] = (1.0, -1.0, 1.0, -1.0)
    seen[3, feature("inventory")] = 0.5
    everything = np.ones((4, 5), np.bool_)
    wanted = [Action.BUY_YES_LIMIT, Action.BUY_NO_LIMIT, Action.HOLD, Action.SELL_YES_LIMIT]
    assert policy.decide(seen, everything).actions.tolist() == wanted
    alone = [policy.decide(seen[i : i + 1], everything[:1]).actions[0] for i in range(4)]
    assert alone == wanted


def test_the_example_is_judged_like_any_other_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, example(), "flow_follower")
    recordings = write_recording(tmp_path / "recordings", seconds=20).parent
    arguments = ["--recordings", str(recordings), "--data-dir", str(tmp_path)]
    policies = ["--policy", "python:flow_follower.FlowFollower", "--policy", "baseline:hold"]
    assert evaluate.main([*arguments, *policies]) == 0
    assert "python:flow_follower.FlowFollower" in capsys.readouterr().out


# Its name


def test_another_text_and_another_seed_are_other_models(tmp_path: Path) -> None:
    path = put(tmp_path, HOLDS)
    first = load_python("mine.Mine", data_dir=tmp_path).model_hash
    assert re.fullmatch(r"[0-9a-f]{16}", first)
    assert load_python("mine.Mine", data_dir=tmp_path).model_hash == first
    assert load_python("mine.Mine", seed=2, data_dir=tmp_path).model_hash != first
    path.write_text(HOLDS + "# changed\n")
    assert load_python("mine.Mine", data_dir=tmp_path).model_hash != first


def test_a_seed_is_given_to_who_takes_one(tmp_path: Path) -> None:
    takes = "    def __init__(self, seed):\n        assert seed == 7\n"
    put(tmp_path, HOLDS + takes)
    load_python("mine.Mine", seed=7, data_dir=tmp_path)
    with pytest.raises(StrategyError, match=r"AssertionError \(mine.py line 11\)"):
        load_python("mine.Mine", seed=8, data_dir=tmp_path)


def test_a_module_in_a_package_is_found(tmp_path: Path) -> None:
    (tmp_path / FOLDER / "mine_too").mkdir(parents=True)
    (tmp_path / FOLDER / "mine_too" / "one.py").write_text(HOLDS)
    assert load_python("mine_too.one.Mine", data_dir=tmp_path).model == "python:mine_too.one.Mine"


def test_the_folder_hides_no_module_of_ours(tmp_path: Path) -> None:
    put(tmp_path, "raise SystemExit", "models")
    with pytest.raises(StrategyError, match="module 'models' has no class 'Mine'"):
        load_python("models.Mine", data_dir=tmp_path)


def test_the_folder_hides_no_module_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    put(tmp_path, "raise SystemExit", "wave")
    with pytest.raises(StrategyError, match="module 'wave' has no class 'Mine'"):
        load_python("wave.Mine", data_dir=tmp_path)


# What is wrong


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("Mine", HOLDS, "names no class in a module; allowed: python:<module>.<class>"),
        ("mine.", HOLDS, "names no class in a module; allowed: python:<module>.<class>"),
        ("mine.Mine()", HOLDS, "names no class in a module; allowed: python:<module>.<class>"),
        ("mine_gone.Mine", HOLDS, "no module 'mine_gone' in {folder} or on PYTHONPATH"),
        ("mine.sub.Mine", HOLDS, "no module 'mine.sub' in {folder} or on PYTHONPATH"),
        ("mine.Other", HOLDS, "module 'mine' has no class 'Other'; allowed: Mine"),
        ("mine.Other", "x = 1", "module 'mine' has no class 'Other'; allowed: none, it has no"),
        ("mine.x", "x = 1", "x of mine is 1, no class"),
        ("mine.Mine", "import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at"),
        ("mine.Mine", "1 / 0", "ZeroDivisionError: division by zero (mine.py line 1)"),
        ("mine.Mine", "\nclass Mine\n", "SyntaxError: expected ':' (mine.py line 2)"),
        ("mine.Mine", "raise SystemExit(3)", "SystemExit: 3 (mine.py line 1)"),
        ("mine.Mine", "class Mine: pass", "has no method decide(observations, masks)"),
        (
            "mine.Mine",
            "class Mine:\n  builder = 'V2'\n  def decide(self, o, m): pass",
            "builder is 'V2'; allowed: builder_of('OBSERVATION_V1')",
        ),
        ("mine.Mine", HOLDS.replace("decide(self, ", "decide("), "takes 2 positional arguments"),
        ("mine.Mine", HEAD + "        raise SystemExit(4)", "SystemExit: 4 (mine.py line"),
        ("mine.Mine", HEAD + "        return None", "decide gave None; allowed: Decisions("),
        ("mine.Mine", HEAD + "        return 1, 'x', 3", "allowed: Decisions("),
        (
            "mine.Mine",
            HOLDS.replace("np.zeros(n, int)", "np.zeros(n)"),
            "decide gave actions float64[1]; allowed: int64[1]",
        ),
        (
            "mine.Mine",
            HOLDS.replace("np.zeros(n, int)", "np.zeros(1, int)"),
            "decide gave actions int64[1]; allowed: int64[2]",
        ),
        (
            "mine.Mine",
            HOLDS.replace("np.zeros(n, int)", "np.full(n, 5)"),
            "decide gave actions [5]; allowed: 0 to 4",
        ),
        (
            "mine.Mine",
            HOLDS.replace("np.zeros(n, int)", "np.full(n, -1)"),
            "decide gave actions [-1]; allowed: 0 to 4",
        ),
        (
            "mine.Mine",
            HOLDS.replace("np.zeros((n, 5))", "np.zeros((n, 4))"),
            "decide gave logits float32[1, 4]; allowed: float32[1, 5]",
        ),
        (
            "mine.Mine",
            HOLDS.replace("None)", "np.zeros((n, 1)))"),
            "decide gave values float32[1, 1]; allowed: None, float32[1]",
        ),
        (
            "mine.Mine",
            HEAD + "        import json; json.loads('{')",
            "(mine.py line 9)",  # not the place in Python's own file
        ),
        (
            "mine.Mine",
            HEAD + "        return [][n]",
            "IndexError: list index out of range (m",
        ),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    put(tmp_path, text)
    with pytest.raises(StrategyError) as caught:
        load_python(name, data_dir=tmp_path)
    message = str(caught.value)
    assert message.startswith(f"python:{name}")
    assert says.format(folder=tmp_path / FOLDER) in message
    assert "\n" not in message


def test_a_long_message_is_cut(tmp_path: Path) -> None:
    put(tmp_path, HEAD + "        raise ValueError('x' * 10_000)")
    with pytest.raises(StrategyError, match=r"ValueError: x{200} ") as caught:
        load_python("mine.Mine", data_dir=tmp_path)
    assert len(str(caught.value)) < 300


def test_small_integers_are_actions_like_others(tmp_path: Path) -> None:
    put(tmp_path, HOLDS.replace("np.zeros(n, int)", "np.zeros(n, np.int8)"))
    policy = load_python("mine.Mine", data_dir=tmp_path)
    observations = np.zeros((1, policy.builder.size), np.float32)
    decided = policy.decide(observations, np.ones((1, 5), np.bool_))
    assert decided.actions.dtype == np.int64


def test_an_evaluation_says_where_the_code_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(
        tmp_path,
        HOLDS.replace("        return", "        assert not observations.any()\n        return"),
    )
    recordings = write_recording(tmp_path / "recordings", seconds=20).parent
    arguments = ["--recordings", str(recordings), "--data-dir", str(tmp_path)]
    assert evaluate.main([*arguments, "--policy", "python:mine.Mine"]) == 2
    assert capsys.readouterr().err == (
        "evaluate: python:mine.Mine: AssertionError (mine.py line 9)\n"
    )


def test_a_policy_that_is_not_there_names_all_kinds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recordings = write_recording(tmp_path / "recordings", seconds=2).parent
    assert evaluate.main(["--recordings", str(recordings), "--policy", "pithon:a.B"]) == 2
    assert "python:<module>.<class>" in capsys.readouterr().err
