"""Calls of the hot path, each in a tight loop and paced."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.figures import Figure, paced, tight
from benchmarks.market import TICKER, OneMarket, one_market
from ipc.account_table import new_account
from ipc.book_table import BookTable
from ipc.units import LINEAR_CENT, ONE_DOLLAR_E4, PriceGrid, PriceRange
from models.observation.builder import DEFAULT, LiveObservationAdapter
from models.policies.onnx import load_strategy
from models.trading.actions import N_ACTIONS

__all__ = ["run"]

FINE: Final = PriceGrid([PriceRange(0, ONE_DOLLAR_E4, 10)])  # 999 prices a leg
BATCHES: Final = (1, 8, 64, 100)

Calls = dict[str, Callable[[], object]]


def _book_calls(market: OneMarket, table: BookTable) -> Calls:
    row, account = np.zeros(table.row_words, np.int64), new_account(100_000_000)
    out, adapter = np.zeros(DEFAULT.size, np.float32), LiveObservationAdapter()
    table.read(market.row, row)

    def observe() -> None:
        adapter.tick(TICKER, row)
        adapter.observe(TICKER, row, account, out)

    return {
        "delta: journal, book, tick row": market.delta,
        "read of a row, 2 x 99 prices": lambda: table.read(market.row, row),
        "observation of 52 floats": observe,
    }


def _policy_calls(folder: Path) -> Calls:
    policy = load_strategy("onnx:default", data_dir=folder)
    chance = np.random.default_rng(1)

    def asked(size: int) -> Callable[[], object]:
        observations = chance.random((size, DEFAULT.size), np.float32)
        masks = np.ones((size, N_ACTIONS), np.bool_)
        return lambda: policy.decide(observations, masks)

    return {f"policy, batch of {size}": asked(size) for size in BATCHES}


def _both(calls: Calls) -> list[Figure]:
    found = []
    for name, call in calls.items():
        call()
        found += [tight(name, call), *paced(name, call)]
    return found


def _fine_read(folder: Path) -> list[Figure]:
    with one_market(folder, FINE) as (market, table):
        row = np.zeros(table.row_words, np.int64)
        return _both({"read of a row, 2 x 999 prices": lambda: table.read(market.row, row)})


def run() -> list[Figure]:
    """Book, observation, policy."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with one_market(folder / "cent", LINEAR_CENT) as (market, table):
            found = _both(_book_calls(market, table))
            found.append(tight("delta that the journal refuses", market.refused_delta))
        return found + _fine_read(folder / "fine") + _both(_policy_calls(folder))
