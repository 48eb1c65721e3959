"""The best allowed action."""

from __future__ import annotations

import numpy as np
import pytest

from models.trading.actions import N_ACTIONS, Action, masked_argmax

INF, NAN = np.inf, np.nan


def test_the_best_allowed_action_of_each_row() -> None:
    rng = np.random.default_rng(1)
    logits = rng.integers(-2, 3, (5_000, N_ACTIONS)).astype(np.float32)  # many of the same
    masks = rng.random((5_000, N_ACTIONS)) < 0.6
    masks[:, Action.HOLD] = True
    expected = np.where(masks, logits, -INF).argmax(axis=1)
    assert masked_argmax(logits, masks).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("logits", "mask", "best"),
    [
        ([0, 3, 3, 1, 2], [1, 1, 1, 1, 1], 1),  # the first of equals
        ([0, NAN, 1, NAN, 2], [1, 1, 1, 1, 1], 4),
        ([NAN] * 5, [1, 1, 1, 1, 1], Action.HOLD),
        ([-INF] * 5, [1, 1, 1, 1, 1], Action.HOLD),
        ([0, 1, 2, 3, INF], [0, 1, 0, 1, 0], 3),
        ([0, 1, 2, 3, 4], [0, 0, 0, 0, 0], Action.HOLD),
    ],
)
def test_what_is_no_number_never_wins(logits: list[float], mask: list[int], best: int) -> None:
    row = np.array([logits], np.float32), np.array([mask], np.bool_)
    assert masked_argmax(*row).tolist() == [best]
