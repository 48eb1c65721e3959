"""Readers never wait and never see half a write."""

from __future__ import annotations

import numpy as np
import pytest

from ipc import kernels as s


def row(*words: int) -> s.Words:
    return np.array(words, np.int64)


def test_a_whole_row_is_copied() -> None:
    out = row(-1, -1, -1)
    assert s.read_row(row(4, 7, 8), out, 2)
    assert out.tolist() == [4, 7, -1]


def test_a_write_under_way_is_busy_and_bounded() -> None:
    words, out = row(0, 7), row(0, 0)
    s.begin_write(words)
    assert words[0] == 1
    assert not s.try_read(words, out, 2)
    assert not s.read_row(words, out, 2)
    s.end_write(words)
    assert s.read_row(words, out, 2)
    assert out.tolist() == [2, 7]


@pytest.mark.parametrize(("left", "after"), [(0, 2), (1, 2), (6, 8), (7, 8)])
def test_a_repair_ends_even_and_voids_every_copy_begun_before(left: int, after: int) -> None:
    words, out = row(left, 7), row(0, 0)
    s.begin_repair(words)
    assert words[0] % 2 == 1
    assert not s.read_row(words, out, 2)
    s.end_write(words)
    assert words[0] == after > left
    assert s.read_row(words, out, 2)


def test_readers_need_no_right_to_write() -> None:
    words, out = row(2, 7), row(0, 0)
    words.flags.writeable = False
    assert s.read_row(words, out, 2)
    assert out.tolist() == [2, 7]
