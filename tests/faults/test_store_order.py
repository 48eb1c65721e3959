"""Record, then count, then book: a writer that dies at any store leaves no change un-journalled.

A page is taken away, the kernel dies at its first store into it, and what it had stored until then
is read from the file that it shared with this process.
"""

from __future__ import annotations

import mmap
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ipc import book as b
from ipc import event_journal as j
from ipc.journal import EVENT

PAGE = mmap.PAGESIZE
JOURNAL, RECORDS, ROW = 0, 1, 2  # pages of the shared file
CRASH = r"""
import ctypes, mmap, resource, sys
import numpy as np
from support.kernel_stand import Stand
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
path, page, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
stand = Stand(rows=1, capacity=150)
size, words = mmap.PAGESIZE, mmap.PAGESIZE // 8
with open(path, "r+b") as file:
    shared = mmap.mmap(file.fileno(), 4 * size)
memory = np.frombuffer(shared, np.int64)
memory[: len(stand.words)] = stand.words
stand.words = memory[: len(stand.words)]
memory[2 * words : 2 * words + stand.live.size] = stand.live.ravel()
stand.live = memory[2 * words : 2 * words + stand.live.size].reshape(stand.live.shape)
stand.throttle_ns = 1 << 62
levels = [(0, 100 * price, 100) for price in range(1, 99)]
assert stand.snapshot(0, levels) == 100
while int(stand.words[4]) < 110:  # the next record lies on a page of its own
    stand.delta(0, (0, 5000, 1))
address = memory.ctypes.data + page * size
assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), size, mmap.PROT_READ) == 0
print("armed", flush=True)
if kind == "delta":
    stand.delta(0, (0, 5000, 1000))
elif kind == "trade":
    stand.trade(0, (0, 5000, 1000))
else:
    stand.snapshot(0, [(0, 5000, 1000)])
"""


def die_at(path: Path, page: int, kind: str) -> tuple[int, int, list[int]]:
    """(count, size at 0.50, quantities of the records behind the count) after the death."""
    path.write_bytes(bytes(4 * PAGE))
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(path), str(page), kind],
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": "tests:."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "armed\n", done.stderr
    assert done.returncode == -signal.SIGSEGV
    memory = np.frombuffer(path.read_bytes(), np.int64)
    row = memory[2 * PAGE // 8 :]
    count = int(memory[j.COUNT])
    records = memory[j.HEADER_WORDS : 2 * PAGE // 8].copy()
    records = records[: len(records) // j.RECORD_WORDS * j.RECORD_WORDS].view(EVENT)
    behind = records["count_e2"][count : count + 3].tolist()
    return count, int(row[b.HEADER + 49]), behind


@pytest.mark.parametrize(("kind", "records"), [("delta", 1), ("trade", 1), ("snapshot", 3)])
@pytest.mark.sample(1)
def test_a_change_is_counted_before_the_book_shows_it(
    tmp_path: Path, kind: str, records: int
) -> None:
    count, size, _ = die_at(tmp_path / "memory", ROW, kind)
    assert (count, size) == (110 + records, 110)


@pytest.mark.parametrize(
    ("kind", "written"),
    [("delta", [1000, 0, 0]), ("trade", [1000, 0, 0]), ("snapshot", [1, 1000, 1])],
)
@pytest.mark.sample(1)
def test_a_record_is_whole_before_it_is_counted(
    tmp_path: Path, kind: str, written: list[int]
) -> None:
    count, size, behind = die_at(tmp_path / "memory", JOURNAL, kind)
    assert (count, size, behind) == (110, 110, written)


@pytest.mark.parametrize("kind", ["delta", "trade", "snapshot"])
@pytest.mark.sample(1)
def test_a_record_that_was_not_written_is_neither_counted_nor_shown(
    tmp_path: Path, kind: str
) -> None:
    count, size, behind = die_at(tmp_path / "memory", RECORDS, kind)
    assert (count, size, behind) == (110, 110, [0, 0, 0])
