"""What a registry does with models that cannot decide, and with a file system that fails it."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.made_models import BUYS_YES, HOLDS, endless_graph, linear_graph, make_model

from models.policies import live_model
from models.policies.live_model import active_path, load_entry, stamp_of
from models.policies.onnx import MODEL_FILE, ModelError
from models.policies.registry import Registry
from models.registry import main


@pytest.fixture
def models(tmp_path: Path) -> Registry:
    """A folder with two models that beat every baseline."""
    make_model(tmp_path, "first")
    make_model(tmp_path, "second", BUYS_YES)
    return Registry(tmp_path)


# Models


@pytest.mark.parametrize("deed", ["promote", "shadow"])
@pytest.mark.parametrize(
    ("logits", "markets", "says"),
    [
        (HOLDS, 1, "'?onnx:odd'? cannot decide 2 at once: .*obs"),
        (HOLDS, 2, "'?onnx:odd'? cannot decide 1 at once: "),
        ((0.0, math.nan, 0.0, 0.0, 0.0), None, "onnx:odd answers .*nan"),
        ((0.0, 0.0, math.inf, 0.0, 0.0), None, "onnx:odd answers .*inf"),
    ],
)
def test_a_model_that_does_not_answer_is_refused(
    models: Registry,
    tmp_path: Path,
    deed: str,
    logits: tuple[float, ...],
    markets: int | None,
    says: str,
) -> None:
    graph = linear_graph(52, logits, markets)
    make_model(tmp_path, "odd", onnx_sha256=hashlib.sha256(graph).hexdigest())
    (tmp_path / "models" / "odd" / MODEL_FILE).write_bytes(graph)
    with pytest.raises(ModelError, match=says):
        getattr(models, deed)("odd")
    assert not active_path(tmp_path).exists()


@pytest.mark.parametrize("deed", ["promote", "shadow"])
def test_a_graph_that_never_ends_is_refused(
    models: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    monkeypatch.setattr(live_model, "ANSWER_S", 0.5)
    graph = endless_graph(52)
    make_model(tmp_path, "odd", onnx_sha256=hashlib.sha256(graph).hexdigest())
    (tmp_path / "models" / "odd" / MODEL_FILE).write_bytes(graph)
    with pytest.raises(ModelError, match=r"onnx:odd has not answered after 0\.5 s"):
        getattr(models, deed)("odd")
    assert not active_path(tmp_path).exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contract_size_e2", -500),
        ("contract_size_e2", 0),
        ("market_cash_e6", 2**63 - 1),
        ("throttle_ms", -1),
        ("timesteps", -1),
    ],
)
def test_figures_that_no_model_has_are_refused(
    models: Registry, tmp_path: Path, field: str, value: int
) -> None:
    make_model(tmp_path, "odd", **{field: value})
    with pytest.raises(ModelError, match=rf"'odd': .*cannot be read: .*\$\.{field}"):
        models.promote("odd")


def test_a_chosen_model_that_took_another_name_does_not_run(
    models: Registry, tmp_path: Path
) -> None:
    active = models.promote("first")
    models.promote("second")
    make_model(tmp_path, "first", model_id="other")
    for act in (models.rollback, lambda: load_entry(active.live, tmp_path)):
        with pytest.raises(ModelError, match="'first': its manifest says 'other'"):
            act()


# Files


@pytest.mark.parametrize(
    "command",
    [
        ["promote", "default"],
        ["promote", "mine", "--override", "x"],
        ["rollback"],
        ["shadow", "mine"],
        ["shadow", "--off"],
    ],
    ids=" ".join,
)
def test_a_folder_that_is_no_stack_s_is_said_and_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    mistyped = tmp_path / "vra"
    assert main(["--data-dir", str(mistyped), *command]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"registry: no models in {mistyped} (No such file or directory); ")
    assert not mistyped.exists()


LITTLE_ROOM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from models.registry import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("room", [0, 100, "manifest"])
def test_a_disk_without_room_changes_nothing(
    models: Registry, tmp_path: Path, room: int | str
) -> None:
    make_model(tmp_path, "weak", evaluation={})
    models.promote("first")
    if room == "manifest":  # the state would fit, the manifest would not
        room = active_path(tmp_path).stat().st_size + 400
    before = files_below(tmp_path)
    done = subprocess.run(
        [
            *(sys.executable, "-c", LITTLE_ROOM, str(room), "--data-dir", str(tmp_path)),
            *("promote", "weak", "--override", "a day at one contract"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("registry: [Errno ")
    assert "Traceback" not in done.stderr
    assert files_below(tmp_path) == before


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_command_makes_another_stamp_whatever_the_file_system_says_of_time(
    models: Registry, tmp_path: Path
) -> None:
    """The file before the last may have left its inode, and clocks of file systems are coarse."""
    pinned = active_path(tmp_path / "pinned")
    pinned.parent.mkdir(parents=True)
    stamps = set()
    for act, model_id in (
        (models.promote, "first"),
        (models.shadow, "second"),
        (models.shadow, None),
        (models.shadow, None),
    ):
        act(model_id)
        pinned.write_bytes(active_path(tmp_path).read_bytes())
        os.utime(pinned, ns=(0, 0))
        stamps.add(stamp_of(tmp_path / "pinned"))
    assert len(stamps) == 4
