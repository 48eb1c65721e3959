"""Modes are set, and what somebody else made is never used."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc import private_files as p
from ipc.endpoints import address, socket_folder
from ipc.private_files import UnreadableFileError, UnsafePathError

STRANGER = 54_321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The worst one."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_what_is_made_is_private_whatever_the_umask(tmp_path: Path) -> None:
    data = p.data_folder(tmp_path / "above" / "data")
    p.private_folder(data / "journal" / "collector")
    p.write_file(data / "secret", b"word")
    os.close(p.create_file(data / "file"))
    assert (mode(data), mode(data.parent)) == (0o700, 0o711)
    assert mode(data / "journal") == mode(data / "journal" / "collector") == 0o700
    assert mode(data / "secret") == mode(data / "file") == 0o600
    assert p.read_file(data / "secret") == b"word"


def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for folder in (data, data / "journal", data / "journal" / "collector"):
        folder.mkdir(0o777)
    (data / "stack.lock").touch(0o666)
    p.data_folder(data)
    p.private_folder(data / "journal" / "collector")
    parts = (data, data / "journal", data / "journal" / "collector")
    assert [mode(part) for part in parts] == [0o700] * 3
    assert mode(data / "stack.lock") == 0o600


@pytest.mark.parametrize("made", [0o1777, 0o755], ids=["shared", "full of other things"])
def test_a_folder_that_is_no_data_folder_is_left_as_it_is(tmp_path: Path, made: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "letters").touch()
    home.chmod(made)
    with pytest.raises(UnsafePathError, match=f"has mode {made:04o}.*choose a folder of its own"):
        p.data_folder(home)
    assert mode(home) == made


def a_symlink(path: Path) -> None:
    (path.parent / "elsewhere").touch(0o600)
    path.symlink_to(path.parent / "elsewhere")


def a_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def a_folder(path: Path) -> None:
    path.mkdir(0o700)


def an_open_file(path: Path) -> None:
    path.touch(0o640)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (a_symlink, "is a symlink where a file belongs; remove it"),
        (a_pipe, "is no file; remove it"),
        (a_folder, "is no file; remove it"),
        (an_open_file, "has mode 0640, others may use it; allowed: 0600"),
    ],
)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
def test_what_is_no_private_file_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], None], says: str, flags: int
) -> None:
    path = tmp_path / "file"
    make(path)
    for opener in (p.open_file, p.open_or_create):
        with pytest.raises(UnsafePathError, match=says) as caught:
            opener(path, flags)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileExistsError):
        p.create_file(path)


@as_root
def test_what_another_user_made_is_refused(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir(0o700)
    file.touch(0o600)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    for path in (folder, file, link):
        os.lchown(path, STRANGER, STRANGER)
    for made, opener in (
        *((folder, opener) for opener in (p.private_folder, p.data_folder)),
        *((link, opener) for opener in (p.private_folder, p.data_folder)),
        (file, p.open_file),
    ):
        with pytest.raises(UnsafePathError, match=f"belongs to user {STRANGER}, not to 0"):
            opener(made)


def test_a_data_folder_may_be_a_symlink_of_its_own_user(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "disk")
    p.data_folder(tmp_path / "var")
    assert mode(tmp_path / "disk") == 0o700


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A data folder whose path is too long for a socket."""
    return p.data_folder(tmp_path / ("x" * 100))


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's own folder, of a path short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


def test_sockets_of_a_long_path_lie_under_a_random_name_that_all_know(
    deep: Path, runtime: Path
) -> None:
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(socket_folder(deep))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert found[0].parent == runtime
    assert mode(found[0]) == 0o700
    assert mode(deep / "sockets.path") == 0o600
    assert address("intents", deep, {}) == f"ipc://{found[0]}/intents.sock"


@pytest.mark.parametrize("gone", ["gone", "open", "link"])
def test_a_folder_of_sockets_that_cannot_be_trusted_is_replaced(
    deep: Path, runtime: Path, gone: str
) -> None:
    first = socket_folder(deep)
    if gone == "open":
        first.chmod(0o777)
    else:
        first.rmdir()
    if gone == "link":
        first.symlink_to(runtime)
    second = socket_folder(deep)
    assert second != first
    assert second == socket_folder(deep)


@as_root
def test_a_runtime_folder_of_another_user_is_not_used(deep: Path, runtime: Path) -> None:
    os.chown(runtime, STRANGER, STRANGER)
    found = socket_folder(deep)
    try:
        assert found.parent != runtime
        assert mode(found) == 0o700
    finally:
        found.rmdir()


def test_a_lock_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    with (
        p.exclusive(tmp_path / "lock"),
        pytest.raises(TimeoutError, match="another process"),
        p.exclusive(tmp_path / "lock", 0.05),
    ):
        pytest.fail("two hold it")
    with p.exclusive(tmp_path / "lock", 0.05):
        assert mode(tmp_path / "lock") == 0o600


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Input data was truncated"),
        (b"[1]", "Expected `object`, got `array`"),
        (b'{"a": ' + b"[" * 100_000, "recursion"),
        (b'{"a": "\xff"}', "utf-8"),
        (b" " * 101, "it has 101 bytes; allowed: 100"),
    ],
)
def test_json_that_cannot_be_used_is_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "record.json"
    p.write_file(path, content)
    most = 100 if content.isspace() else p.MOST_JSON_BYTES
    with pytest.raises(UnreadableFileError, match=why) as found:
        p.read_json(path, dict[str, Any], most)
    assert len(str(found.value).splitlines()) == 1


def test_json_of_others_is_not_read_and_none_is_none(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert p.read_json(path, dict[str, int]) is None
    p.write_file(path, b'{"a": 1}')
    assert p.read_json(path, dict[str, int]) == {"a": 1}
    path.chmod(0o644)
    with pytest.raises(UnreadableFileError, match="others may use it"):
        p.read_json(path, dict[str, int])
