"""PostgreSQL refuses uid 0 and a uid without an account: how its launcher takes another one.

In a user namespace the same user has another uid: no second account, no change of parent folders.
Where namespaces are forbidden (most containers), root hands over to an account that keeps root's
right to pass folders and read files, and nothing else of it: binaries and data stay where they are,
closed to other users as before.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from processes.runtime.config import ConfigError

__all__ = ["take_account", "take_back"]

_CLONE_NEWUSER: Final = 0x10000000
_PR_SET_KEEPCAPS: Final = 8
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_CAP_DAC_OVERRIDE: Final = 1
_CAPABILITY_VERSION_3: Final = 0x20080522
_USUAL: Final = "nobody"
_WAY_OUT: Final = "or set DATABASE_URL to a PostgreSQL of your own"


def take_account(bin_dir: Path, folder: Path, owned: Iterable[Path]) -> None:
    """Become, for good, an account under which PostgreSQL runs.

    Does nothing for an ordinary user with an account.

    Args:
        bin_dir: Where `postgres` is.
        folder: Where the server keeps what it has.
        owned: What in there must be its own.

    Raises:
        ConfigError: There is no way here; says what to do instead.
    """
    uid = os.geteuid()
    if uid and _has_account(uid):
        return
    accounts = _accounts()
    # Inside, what belongs to others seems to be the overflow user's, whom `nobody` is.
    inside = next((entry for entry in accounts if entry.pw_name != _USUAL), accounts[0])
    if _namespaces_allowed(inside):
        if uid == 0:
            _own(owned, 0, 0)  # what another account once used stays usable
        _enter_namespace(inside)
    elif uid:
        raise ConfigError(
            f"uid {uid} has no account, which PostgreSQL needs, and user namespaces are forbidden "
            f"here; add a line for it to /etc/passwd, {_WAY_OUT}"
        )
    else:
        other = next((entry for entry in accounts if entry.pw_name == _USUAL), accounts[0])
        _hand_over(other, owned)
        _check_reach(other, (bin_dir, folder))


def take_back(folder: Path) -> None:
    """Root's again, if an earlier version gave it to `nobody`. Of others nothing is taken."""
    if os.geteuid() or not os.path.lexists(folder):
        return
    found = os.lstat(folder)
    usual = {entry.pw_uid for entry in pwd.getpwall() if entry.pw_name == _USUAL}
    if found.st_uid in usual and stat.S_ISDIR(found.st_mode):
        os.lchown(folder, 0, 0)


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _accounts() -> list[pwd.struct_passwd]:
    """All but root's."""
    others = [entry for entry in pwd.getpwall() if entry.pw_uid]
    if not others:
        raise ConfigError(
            "PostgreSQL does not run as root, and /etc/passwd has no other account; add one "
            f"(useradd {_USUAL}), {_WAY_OUT}"
        )
    return others


def _namespaces_allowed(account: pwd.struct_passwd) -> bool:
    """Tried in a child, whole: it cannot be undone, and each of its steps may be forbidden."""
    pid = os.fork()
    if pid == 0:
        try:
            _enter_namespace(account)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def _enter_namespace(account: pwd.struct_passwd) -> None:
    uid, gid = os.geteuid(), os.getegid()
    _call(ctypes.CDLL(None, use_errno=True).unshare, _CLONE_NEWUSER)
    maps = (("uid_map", f"{account.pw_uid} {uid} 1"), ("gid_map", f"{account.pw_gid} {gid} 1"))
    for name, text in (("setgroups", "deny"), *maps):
        Path("/proc/self", name).write_text(text)


def _own(tops: Iterable[Path], uid: int, gid: int) -> None:
    for top in tops:
        if os.path.lexists(top):
            os.lchown(top, uid, gid)
        for folder, folders, files in os.walk(top):
            for name in (*folders, *files):
                os.lchown(os.path.join(folder, name), uid, gid)


def _hand_over(account: pwd.struct_passwd, owned: Iterable[Path]) -> None:
    try:
        _own(owned, account.pw_uid, account.pw_gid)
        _prctl(_PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        _keep_passage()
    except OSError as error:
        raise ConfigError(
            f"PostgreSQL does not run as root, and cannot run as {account.pw_name} here "
            f"({error.strerror}); start the stack as an ordinary user, {_WAY_OUT}"
        ) from None


def _keep_passage() -> None:
    """Hold CAP_DAC_OVERRIDE alone, and hand it on to what is executed."""
    bit = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit)  # effective, permitted, inheritable; high words
    _call(ctypes.CDLL(None, use_errno=True).capset, header, sets)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def _check_reach(account: pwd.struct_passwd, paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            os.listdir(path)
        except OSError:
            raise ConfigError(
                f"PostgreSQL does not run as root, and {account.pw_name} cannot reach {path}; "
                "move checkout and RL_DATA_DIR where every account may pass, start the stack as "
                f"an ordinary user, {_WAY_OUT}"
            ) from None


def _prctl(option: int, *arguments: int) -> None:
    words = (ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4])
    _call(ctypes.CDLL(None, use_errno=True).prctl, ctypes.c_int(option), *words)


def _call(function: ctypes._NamedFuncPointer, *arguments: object) -> None:
    """A function of the C library that answers -1 and sets errno; `OSError`."""
    if function(*arguments) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
