"""JSON that is nested without end or is no UTF-8 gets the answer that any other garbage gets."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest
from support.exchange_core import Core

from ipc.private_files import write_file
from models.learning.checkpoints import STATE, CheckpointError, Checkpoints, State
from models.learning.settings import TrainingSettings
from models.policies.live_model import active_path, read_active
from models.policies.onnx import MANIFEST_FILE, ModelError, read_manifest
from processes.adapters.kalshi.auth.credentials import credentials_path, load_credentials
from processes.exchange.admin.fault_handlers import fault_schedule_of
from processes.exchange.core.rejections import Rejection
from processes.exchange.rest.middleware import _object
from processes.exchange.rest.pages import place_of_cursor
from processes.exchange.rest.requests import json_object
from processes.exchange.shared.accounts import load_accounts
from processes.exchange.stream.session import StreamSession
from processes.runtime.config import ConfigError, load_settings

NESTED = b'{"x":' + b"[" * 100_000
each_kind = pytest.mark.parametrize("text", [NESTED, b'{"x": "\xff"}', b'{"\xff": 1}'])


@each_kind
def test_models_say_which_file_cannot_be_read(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "models").mkdir()
    for path in (tmp_path / MANIFEST_FILE, active_path(tmp_path), tmp_path / STATE):
        path.write_bytes(text)
    with pytest.raises(ModelError, match=f"{MANIFEST_FILE} cannot be read"):
        read_manifest(tmp_path)
    with pytest.raises(ModelError, match=r"active\.json cannot be read"):
        read_active(tmp_path)
    with pytest.raises(CheckpointError, match=f"{STATE} cannot be read"):
        Checkpoints(tmp_path).resume(State(TrainingSettings(), {}))


@each_kind
def test_a_file_of_accounts_is_no_list_of_accounts(tmp_path: Path, text: bytes) -> None:
    path = credentials_path(tmp_path)
    path.parent.mkdir()
    write_file(path, text)
    with pytest.raises(ConfigError, match="is not a list of accounts"):
        load_accounts(path, 1, 0)
    with pytest.raises(ConfigError, match="is not the exchange's list of accounts"):
        load_credentials(load_settings({"RL_DATA_DIR": str(tmp_path)}))


@each_kind
def test_the_local_exchange_answers_a_client(text: bytes) -> None:
    with pytest.raises(Rejection) as refusal:
        json_object(text)
    assert refusal.value.status == 400
    assert _object(text) == {}
    assert place_of_cursor(base64.urlsafe_b64encode(text).decode()) is None
    core, frames = Core(), list[bytes]()
    session = StreamSession(1, core.caller(0), frames.append, core.venue.markets.get)
    session.handle(text)
    assert [msgspec.json.decode(frame)["type"] for frame in frames] == ["error"]


def test_a_schedule_of_faults_names_its_variable() -> None:
    settings = load_settings({"RL_EXCHANGE_FAULTS": '[{"x":' + "[" * 100_000})
    with pytest.raises(ConfigError, match="not a JSON list"):
        fault_schedule_of(settings)
