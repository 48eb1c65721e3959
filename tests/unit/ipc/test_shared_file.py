"""One writer for life, taken over after any death, refused in one line when it does not fit."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ipc import shared_file as f
from ipc.shared_file import LayoutError, SharedFile, WriterActiveError, shared_path

MAGIC, LAYOUT, SHAPE = 77, 3, (5, 2)
WORDS = 10


def create(path: Path, shape: tuple[int, ...] = SHAPE, words: int = WORDS) -> SharedFile:
    file = SharedFile.create(path, MAGIC, LAYOUT, shape, words)
    file.raise_generation()
    return file


def attach(path: Path) -> SharedFile:
    return SharedFile.attach(path, MAGIC, LAYOUT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "below" / "table"


def test_what_the_writer_stores_a_reader_sees(path: Path) -> None:
    writer = create(path)
    reader = attach(path)
    writer.body[3] = 42
    assert reader.body[3] == 42
    assert reader.body.size == WORDS
    assert reader.words[f.SHAPE : 8].tolist() == [5, 2, 0, 0]
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ValueError, match="read-only"):
        reader.body[3] = 1


def test_a_second_writer_is_refused(path: Path) -> None:
    writer = create(path)
    with pytest.raises(WriterActiveError, match="another process writes this table"):
        create(path)
    assert writer.generation == 1
    writer.close()
    assert create(path).generation == 2


def test_a_new_writer_takes_over_what_is_there(path: Path) -> None:
    first = create(path)
    reader = attach(path)
    first.body[3] = 42
    first.close()
    second = create(path)
    assert (second.body[3], second.generation, reader.generation) == (42, 2, 2)
    assert not reader.replaced()


def test_a_file_of_another_shape_is_replaced_and_its_readers_learn_it(path: Path) -> None:
    first = create(path)
    reader = attach(path)
    first.close()
    second = create(path, shape=(6, 2), words=12)
    assert reader.replaced()
    assert reader.generation == 2  # void, whatever else it holds
    assert second.generation == 3  # no generation comes twice
    assert attach(path).body.size == 12


def test_a_file_that_has_gone_is_replaced(path: Path) -> None:
    create(path)
    reader = attach(path)
    path.unlink()
    assert reader.replaced()


@pytest.mark.parametrize("opener", [create, attach])
@pytest.mark.parametrize(
    "content",
    [
        (MAGIC + 1).to_bytes(8, "little") + LAYOUT.to_bytes(8, "little") + bytes(48),
        b"hello",
    ],
    ids=["magic", "text"],
)
def test_a_file_that_is_no_such_table_is_refused_in_one_line(
    path: Path, opener: object, content: bytes
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(LayoutError, match="is not the layout 3 of this program") as caught:
        opener(path)  # type: ignore[operator]
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content
    path.unlink()
    create(path)  # and nothing is held


def test_what_another_version_left_is_replaced(path: Path) -> None:
    left = SharedFile.create(path, MAGIC, LAYOUT + 1, SHAPE, WORDS)
    left.raise_generation()
    with pytest.raises(LayoutError, match=r"table layout 4 .* is not the layout 3") as caught:
        attach(path)  # its writer lives
    assert "\n" not in str(caught.value)
    with pytest.raises(WriterActiveError):
        create(path)
    reader = SharedFile.attach(path, MAGIC, LAYOUT + 1)
    left.close()
    with pytest.raises(FileNotFoundError, match="another version left"):
        attach(path)
    created = create(path)
    assert reader.replaced()
    assert (reader.generation, created.generation) == (2, 3)
    assert attach(path).generation == created.generation


def test_a_file_that_is_being_made_is_not_there_yet(path: Path) -> None:
    path.parent.mkdir()
    with pytest.raises(FileNotFoundError):
        attach(path)
    path.touch()
    with pytest.raises(FileNotFoundError, match="is being made"):
        attach(path)
    assert create(path).generation == 1


def test_heartbeats_age(path: Path) -> None:
    writer = create(path)
    reader = attach(path)
    writer.heartbeat(1_000)
    assert reader.heartbeat_age_ns(1_700) == 700


CHILD = """
import sys
from pathlib import Path
from ipc.shared_file import SharedFile
file = SharedFile.create(Path(sys.argv[1]), 77, 3, (5, 2), 10)
file.raise_generation()
print("ready", flush=True)
sys.stdin.read()
"""


def test_the_kernel_distinguishes_a_dead_writer_from_a_stopped_one(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        reader = attach(path)
        assert not reader.writer_is_dead()
        os.kill(child.pid, signal.SIGSTOP)
        assert not reader.writer_is_dead()
        with pytest.raises(WriterActiveError):
            create(path)
        child.kill()
        child.wait()
    assert reader.writer_is_dead()
    assert create(path).generation == 2
    assert not reader.writer_is_dead()


def test_a_writer_that_asks_for_itself_keeps_its_lock(path: Path) -> None:
    with closing(create(path)) as writer:
        assert not writer.writer_is_dead()
        reader = attach(path)
        assert not reader.writer_is_dead()
        with pytest.raises(WriterActiveError):
            create(path)
    assert reader.writer_is_dead()
    reader.close()


def test_readers_that_ask_for_the_writer_do_not_keep_a_new_one_out(path: Path) -> None:
    create(path).close()
    reader = attach(path)
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            reader.writer_is_dead()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            create(path).close()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_table_lives_in_memory_under_a_name_of_its_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(f, "_SHM", memory)
    places = [shared_path(tmp_path / d, n) for d in ("one", "other") for n in ("books", "accounts")]
    tables = [create(place) for place in places]
    lie = {place.resolve() for place in places}
    assert lie == set(memory.iterdir())
    assert len(lie) == 4
    assert all(re.fullmatch(r"kalshi-actor-[0-9a-f]{32}-(books|accounts)", p.name) for p in lie)
    for table in tables:
        table.close()


@pytest.mark.parametrize("opener", [create, attach])
@pytest.mark.parametrize("wrong", ["link", "owner", "mode"])
def test_a_table_that_others_may_touch_is_refused(path: Path, opener: object, wrong: str) -> None:
    create(path).close()
    table = path.resolve()
    if wrong == "mode":
        table.chmod(0o666)
    elif wrong == "link":
        table.rename(table.with_name(table.name + "-x"))
        table.symlink_to(table.with_name(table.name + "-x"))
    elif os.geteuid():
        pytest.skip("only root can give a file away")
    else:
        os.chown(table, 54_321, 54_321)
    with pytest.raises(LayoutError, match=r"is a symlink|belongs to user 54321|has mode 0666"):
        opener(path)  # type: ignore[operator]


@pytest.mark.parametrize("size", [0, 100, 4_096, 4_168, 8_192])
def test_a_table_of_another_size_than_it_says_is_never_mapped(path: Path, size: int) -> None:
    create(path).close()
    os.truncate(path, size)
    with pytest.raises((LayoutError, FileNotFoundError)):
        attach(path)
    assert create(path).body.size == WORDS


@pytest.mark.parametrize("size", [-1, 1 << 60, -(1 << 63)])
def test_a_header_that_says_nonsense_is_refused(path: Path, size: int) -> None:
    writer = create(path)
    writer.words[f.BODY_WORDS] = size
    with pytest.raises(LayoutError, match="its header says"):
        attach(path)


def test_without_room_in_memory_a_table_lies_in_the_data_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.posix_fallocate

    def full(fd: int, offset: int, size: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").startswith("/dev/shm/"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", full)
    writer = create(path)
    assert writer.on_disk
    assert path.resolve() == path
    assert path.stat().st_mode & 0o777 == 0o600
    writer.body[3] = 42
    assert attach(path).body[3] == 42
    assert list(f._SHM.iterdir()) == []
    writer.close()
    monkeypatch.undo()
    assert not create(path).on_disk, "said once"


def test_without_room_anywhere_a_table_is_refused_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(LayoutError, match=r"cannot be made: No space left on device; make room"):
        create(path)
    assert [*f._SHM.iterdir()] == []
    assert [entry for entry in path.parent.iterdir() if entry.suffix != ".lock"] == []


def test_tables_that_nobody_writes_are_removed(tmp_path: Path) -> None:
    written, left = (shared_path(tmp_path, name) for name in ("accounts", "books"))
    writer = create(written)
    create(left).close()
    gone = left.resolve()
    left.with_name(".books.0123").symlink_to(gone.with_name("kalshi-actor-never-made"))
    f.remove_tables(tmp_path)
    assert not gone.exists()
    assert not left.is_symlink()
    assert not left.with_name(".books.0123").is_symlink()
    assert not attach(written).replaced()
    writer.close()
    f.remove_tables(tmp_path)
    assert list(f._SHM.iterdir()) == []
    f.remove_tables(tmp_path / "nowhere")


def test_what_an_earlier_version_left_in_memory_is_removed(tmp_path: Path) -> None:
    digest = hashlib.sha256(os.fsencode(tmp_path.resolve())).hexdigest()[:16]
    old = f._SHM / f"kalshi-actor-{digest}-books"
    old.touch(0o600)
    f.remove_tables(tmp_path)
    assert not old.exists()
