"""Small exported models: a linear graph written field by field, so that tests need no exporter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from models.observation.builder import builder_of
from models.policies.baselines import BASELINES
from models.policies.onnx import DEFAULT_MODEL, MANIFEST_FILE, MODEL_FILE, Manifest, read_manifest

__all__ = ["BUYS_YES", "HOLDS", "QUOTES", "beating", "endless_graph", "linear_graph", "make_model"]

HOLDS = (9.0, 0.0, 0.0, 0.0, 0.0)  # logits at an observation of zeros
BUYS_YES = (0.0, 9.0, 0.0, 0.0, 0.0)
QUOTES = (0.0, 8.0, 9.0, 0.0, 0.0)  # sells YES where it holds some, else buys it


def beating(low: float = 0.5) -> dict[str, float]:
    """An evaluation on many markets with the same lower bound against every baseline."""
    return {f"minus_{name}_low95": low for name in BASELINES} | {"markets": 26.0}


def make_model(
    data_dir: Path,
    name: str,
    logits: Sequence[float] = HOLDS,
    *,
    schema: str = "OBSERVATION_V1",
    evaluation: dict[str, float] | None = None,
    **fields: object,
) -> Manifest:
    """A model in `<data_dir>/models/<name>`; by default it beats every baseline."""
    folder = data_dir / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    builder = builder_of(schema)
    graph = linear_graph(builder.size, logits)
    (folder / MODEL_FILE).write_bytes(graph)
    facts: dict[str, object] = {
        "model_id": name,
        "observation_schema": schema,
        "observation_hash": builder.schema.hash,
        "onnx_sha256": hashlib.sha256(graph).hexdigest(),
        "evaluation": beating() if evaluation is None else evaluation,
    }
    manifest = msgspec.structs.replace(read_manifest(DEFAULT_MODEL), **(facts | fields))
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))
    return manifest


def endless_graph(size: int) -> bytes:
    """As `linear_graph`, behind a loop whose condition stays true."""
    scalar = _bytes(2, b"")  # a shape without dimensions
    body = b"".join(
        [
            _bytes(1, _node("Identity", ["go"], "go_on")),
            _bytes(1, _node("Identity", ["v_in"], "v_out")),
            _bytes(2, b"body"),
            _bytes(11, _named("turn", 7, scalar)),
            _bytes(11, _named("go", 9, scalar)),
            _bytes(11, _value("v_in", size, None)),
            _bytes(12, _named("go_on", 9, scalar)),
            _bytes(12, _value("v_out", size, None)),
        ]
    )
    attribute = _bytes(1, b"body") + _bytes(6, body) + _int(20, 5)
    loop = _node("Loop", ["", "true", "obs"], "looped") + _bytes(5, attribute)
    truth = _int(2, 9) + _bytes(8, b"true") + _bytes(9, b"\x01")
    return linear_graph(size, HOLDS, source="looped", before=(loop,), tensors=(truth,))


def _named(name: str, kind: int, shape: bytes) -> bytes:
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _int(1, kind) + shape))


def linear_graph(
    size: int,
    logits: Sequence[float],
    markets: int | None = None,
    *,
    source: str = "obs",
    before: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
) -> bytes:
    """logits = obs @ W + `logits`, with small weights that make every observation tell.

    It takes any number of markets at once, or just as many as `markets`. Nodes `before` it may
    make another `source` of obs, from further `tensors`.
    """
    weights = np.random.default_rng(size).uniform(-1e-3, 1e-3, (size, 6)).astype("<f4")
    nodes = [
        *before,
        _node("MatMul", [source, "w"], "moved"),
        _node("Add", ["moved", "b"], "logits"),
        _node("MatMul", [source, "v"], "value"),
    ]
    tensors = [
        *tensors,
        _tensor("w", weights[:, :5]),
        _tensor("b", np.array(logits, "<f4")),
        _tensor("v", weights[:, 5:]),
    ]
    graph = b"".join(
        [
            *(_bytes(1, node) for node in nodes),
            _bytes(2, b"linear"),
            *(_bytes(5, tensor) for tensor in tensors),
            _bytes(11, _value("obs", size, markets)),
            _bytes(12, _value("logits", 5, markets)),
            _bytes(12, _value("value", 1, markets)),
        ]
    )
    return _int(1, 8) + _bytes(7, graph) + _bytes(8, _int(2, 17))


# Protocol buffers, as far as a linear graph needs them; field numbers are those of onnx.proto.


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _node(kind: str, inputs: Sequence[str], output: str) -> bytes:
    named = b"".join(_bytes(1, name.encode()) for name in inputs)
    return named + _bytes(2, output.encode()) + _bytes(4, kind.encode())


def _tensor(name: str, values: np.ndarray) -> bytes:
    dims = b"".join(_int(1, n) for n in values.shape)
    return dims + _int(2, 1) + _bytes(8, name.encode()) + _bytes(9, values.tobytes())


def _value(name: str, width: int, markets: int | None) -> bytes:
    batch = _bytes(2, b"batch") if markets is None else _int(1, markets)
    shape = _bytes(1, batch) + _bytes(1, _int(1, width))
    tensor = _int(1, 1) + _bytes(2, shape)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor))
