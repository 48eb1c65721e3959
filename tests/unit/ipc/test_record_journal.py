"""Framed messages: whole or not there, in order over rotation, bounded, broken ones named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.journal import FramedReader, FramedWriter, JournalError
from ipc.messages import (
    SCHEMA_VERSION,
    Environment,
    MarkKind,
    Message,
    SessionMark,
    SessionStarted,
    encode,
)


def mark(number: int, detail: str = "") -> SessionMark:
    return SessionMark(
        kind=MarkKind.GAP, market_ticker=None, event_no=number, ts_ns=0, detail=detail
    )


def numbers(messages: list[Message]) -> list[int]:
    return [m.event_no for m in messages if isinstance(m, SessionMark)]


def all_of(folder: Path) -> list[int]:
    messages, _ = FramedReader(folder).read(0)
    return numbers(messages)


@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=30),
    file_bytes=st.integers(100, 1_000),
    limit=st.integers(1, 7),
)
def test_what_was_accepted_is_read_in_order_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], file_bytes: int, limit: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    writer = FramedWriter(folder, file_bytes=file_bytes)
    for n, size in enumerate(sizes):
        assert writer.append(mark(n, "x" * size))
    reader, at, found = FramedReader(folder), 0, []
    while True:
        messages, behind = reader.read(at, limit)
        if not messages:
            break
        found += numbers(messages)
        at = behind
    assert found == list(range(len(sizes)))
    assert at == writer.position
    writer.close()


@pytest.mark.parametrize("before", [0, 3])
def test_a_frame_of_many_megabytes_is_read_wherever_it_lies(tmp_path: Path, before: int) -> None:
    writer = FramedWriter(tmp_path, file_bytes=1 << 26)
    for n in range(before):
        assert writer.append(mark(n, "x" * 2_000_000))
    assert writer.append(mark(before, "x" * 15_000_000), mark(before + 1))
    reader, at, found = FramedReader(tmp_path), 0, []
    while at < writer.position:
        messages, behind = reader.read(at)
        assert behind > at
        found += numbers(messages)
        at = behind
    assert found == list(range(before + 2))


def test_a_batch_is_accepted_whole_or_not_at_all(tmp_path: Path) -> None:
    writer = FramedWriter(tmp_path, max_bytes=200)
    assert writer.append(mark(0), mark(1))
    before = writer.position
    assert not writer.append(*(mark(n) for n in range(2, 10)))
    assert writer.position == before
    assert all_of(tmp_path) == [0, 1]
    writer.close()


def test_room_comes_back_when_files_go(tmp_path: Path) -> None:
    writer = FramedWriter(tmp_path, file_bytes=100, max_bytes=400)
    accepted = 0
    while writer.append(mark(accepted)):
        accepted += 1
    reader = FramedReader(tmp_path)
    _, behind = reader.read(0, accepted // 2)
    assert reader.remove_before(behind) > 0
    assert writer.append(mark(accepted))
    with pytest.raises(JournalError, match="byte 0 is no longer in the journal"):
        reader.read(0)
    assert numbers(reader.read(behind)[0]) == list(range(accepted // 2, accepted + 1))
    writer.close()


def test_a_torn_last_frame_is_not_there_yet(tmp_path: Path) -> None:
    writer = FramedWriter(tmp_path)
    writer.append(mark(0))
    whole = writer.position
    writer.append(mark(1))
    writer.close()
    (file,) = tmp_path.iterdir()
    for size in range(whole, file.stat().st_size):
        os.truncate(file, size)
        messages, behind = FramedReader(tmp_path).read(0)
        assert (numbers(messages), behind) == ([0], whole)


def test_a_broken_frame_is_named_after_what_stands_before_it(tmp_path: Path) -> None:
    writer = FramedWriter(tmp_path)
    writer.append(mark(0))
    whole = writer.position
    writer.append(mark(1, "broken"))
    writer.close()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes().replace(b"broken", b"brXken"))
    reader = FramedReader(tmp_path)
    messages, behind = reader.read(0)
    assert (numbers(messages), behind) == ([0], whole)
    with pytest.raises(JournalError, match=rf"{file}: frame at byte {whole}: .*checksum"):
        reader.read(behind)


def test_a_write_that_the_disk_cut_short_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = FramedWriter(tmp_path)
    writer.append(mark(0))
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: write(fd, data[: len(data) // 2]))
        assert not writer.append(mark(1))
    assert writer.append(mark(2))
    assert all_of(tmp_path) == [0, 2]
    writer.close()


def test_a_journal_of_another_schema_is_refused(tmp_path: Path) -> None:
    writer = FramedWriter(tmp_path)
    started = SessionStarted(
        session_uid="s",
        environment=Environment.SIMULATED,
        websocket_url="ws://127.0.0.1:1",
        started_ns=0,
        schema_version=SCHEMA_VERSION + 1,
    )
    assert len(encode(started)) > 0
    writer.append(started)
    writer.close()
    says = f"schema {SCHEMA_VERSION + 1}, this program reads {SCHEMA_VERSION}"
    with pytest.raises(JournalError, match=says):
        FramedReader(tmp_path).read(0)


def test_a_living_writer_is_distinguished_from_a_dead_one(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ipc.journal import FramedWriter;"
        f"writer = FramedWriter(Path({str(tmp_path)!r})); print('up', flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        reader = FramedReader(tmp_path)
        assert not reader.writer_is_dead()
        process.kill()
        process.wait()
        assert reader.writer_is_dead()


def test_what_the_version_before_wrote_is_read_and_continued(tmp_path: Path) -> None:
    writer = FramedWriter(tmp_path, file_bytes=100)
    for number in range(4):
        assert writer.append(mark(number))
    for file in sorted(tmp_path.glob("records-*.log"))[:2]:
        file.rename(tmp_path / file.name.replace("records-", "marks-"))
    assert {f.name.partition("-")[0] for f in tmp_path.iterdir()} == {"marks", "records"}
    assert all_of(tmp_path) == [0, 1, 2, 3]
    assert FramedReader(tmp_path).remove_before(writer.position) > 0
    writer.close()


def test_a_folder_whose_writer_died_before_its_first_file_holds_nothing(tmp_path: Path) -> None:
    reader = FramedReader(tmp_path)
    assert not reader.begun
    assert reader.read(0) == ([], 0)
    with pytest.raises(JournalError, match="byte 7 is no longer in the journal"):
        reader.read(7)
    FramedWriter(tmp_path).close()
    assert reader.begun
