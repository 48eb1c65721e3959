"""PostgreSQL refuses uid 0: how a launcher that was started as root becomes somebody else.

A user namespace needs no second account and no chmod of parent folders; where it is forbidden (some
containers), the account `nobody` serves.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["leave_root"]

_CLONE_NEWUSER: Final = 0x10000000
_INSIDE_UID: Final = 1000


def leave_root(bin_dir: Path, folders: tuple[Path, ...]) -> Path:
    """Give up uid 0 for good; -> where the binaries can be run from. `folders` stay writable.

    The first of them lies in the data folder, which `nobody` must pass through and cannot read.
    """
    if _namespaces_allowed():
        _chown_trees(folders, 0, 0)  # folders that `nobody` once used stay usable
        _enter_namespace()
        return bin_dir
    account = pwd.getpwnam("nobody")
    bin_dir = _readable_copy(bin_dir, account, folders[0])
    folders[0].parent.chmod(0o711)
    _chown_trees(folders, account.pw_uid, account.pw_gid)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    return bin_dir


def _namespaces_allowed() -> bool:
    """Tried in a child: unshare() cannot be undone."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if _unshare() else 1)
    return os.waitpid(pid, 0)[1] == 0


def _unshare() -> bool:
    return int(ctypes.CDLL(None).unshare(_CLONE_NEWUSER)) == 0


def _enter_namespace() -> None:
    _unshare()
    mappings = (("setgroups", "deny"), ("uid_map", f"{_INSIDE_UID} 0 1"))
    for name, text in (*mappings, ("gid_map", f"{_INSIDE_UID} 0 1")):
        Path("/proc/self", name).write_text(text)


def _chown_trees(tops: tuple[Path, ...], uid: int, gid: int) -> None:
    for top in tops:
        for folder, _, files in os.walk(top):
            for path in (folder, *(os.path.join(folder, f) for f in files)):
                os.lchown(path, uid, gid)


def _readable_copy(bin_dir: Path, account: pwd.struct_passwd, into: Path) -> Path:
    """The binaries themselves, or a copy when `account` cannot reach them (a private home)."""
    probe = subprocess.run(
        ["test", "-x", str(bin_dir / "postgres")],
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        check=False,
    )
    if probe.returncode == 0:
        return bin_dir
    package = bin_dir.parent.parent
    stamp = (bin_dir / "postgres").stat().st_mtime_ns
    copy = into / f"postgres-{stamp}"
    if not copy.exists():
        making = Path(tempfile.mkdtemp(dir=copy.parent))
        shutil.copytree(bin_dir.parent, making / package.name / bin_dir.parent.name)
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, making / libraries.name)
        making.rename(copy)
    return copy / package.name / bin_dir.parent.name / "bin"
