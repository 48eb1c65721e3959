"""Another machine for one command: mount and user namespaces of its own around it.

As a program, `python machine.py <what> <command...>`, it makes that machine of itself, as root, and
then becomes the command. Nothing of it is seen outside, and all of it is gone with the command.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["ACCOUNTS", "ROOT_LINE", "Machine", "missing"]

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_NOSUID, MS_BIND, MS_REC, MS_PRIVATE = 2, 4096, 16384, 1 << 18
ROOT_LINE = "root:x:0:0:root:/root:/bin/sh\n"
ACCOUNTS = (
    f"{ROOT_LINE}daemon:x:1:1:daemon:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n"
)
ALL_IDS = "0 0 65536"


@dataclass(frozen=True)
class Machine:
    """What differs from the machine that the tests run on."""

    accounts: str | None = None  # all of /etc/passwd
    memory: str | None = None  # the size of /dev/shm
    namespaces: bool = True  # whether user namespaces are allowed
    uid: int = 0  # of the command
    shown: tuple[str, ...] = ()  # folders that every account can reach, wherever they are
    umask: int = 0o022
    unset: tuple[str, ...] = ()  # variables

    def around(self, *command: str) -> list[str]:
        """The command that runs `command` there."""
        return [sys.executable, __file__, json.dumps(asdict(self)), *command]


def missing(machine: Machine) -> str | None:
    """Why no machine with such namespaces can be made here; None when one can."""
    if sys.platform != "linux" or os.geteuid():
        return "needs root on Linux"
    bare = Machine(namespaces=machine.namespaces, memory="64k")
    done = subprocess.run(bare.around("true"), capture_output=True, text=True, check=False)
    return done.stderr.splitlines()[-1] if done.returncode else None


_libc = ctypes.CDLL(None, use_errno=True)


def _call(answer: int) -> None:
    if answer:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = (os.fsencode(word) for word in (source, target, kind))
    _call(_libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data)))


def _become(machine: Machine) -> None:
    if machine.namespaces:
        _call(_libc.unshare(CLONE_NEWNS))
    else:
        _leave_user_namespace()
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    if not machine.namespaces:  # a limit of the namespace that this process is in
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    if machine.accounts is not None:
        with tempfile.NamedTemporaryFile("w", suffix=".passwd") as file:
            file.write(machine.accounts)
            file.flush()
            os.chmod(file.name, 0o644)
            _mount(file.name, "/etc/passwd", "", MS_BIND)
    if machine.memory is not None:
        _mount("shm", "/dev/shm", "tmpfs", MS_NOSUID, f"size={machine.memory},mode=1777")
    _show(machine.shown)


def _leave_user_namespace() -> None:
    """For one with all ids as they were; only a process outside can write its map."""
    asked, asking = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(asking)
        os.read(asked, 1)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{parent}", name).write_text(ALL_IDS)
        os._exit(0)
    _call(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    os.write(asking, b".")
    os.close(asked)
    os.close(asking)
    if os.waitpid(child, 0)[1]:
        raise OSError("the ids of a user namespace cannot be mapped")


def _show(folders: tuple[str, ...]) -> None:
    """Make folders reachable that lie below closed ones: in a folder that is open, alone."""
    closed: dict[Path, list[tuple[Path, int]]] = {}
    for folder in map(Path, folders):
        top = next((p for p in reversed(folder.parents) if not p.stat().st_mode & 0o001), None)
        if top is not None:
            closed.setdefault(top, []).append((folder, os.open(folder, os.O_PATH)))
    for top, inside in closed.items():
        _mount("shown", str(top), "tmpfs", MS_NOSUID, "mode=755")
        for folder, fd in inside:
            folder.mkdir(parents=True, exist_ok=True)
            _mount(f"/proc/self/fd/{fd}", str(folder), "", MS_BIND | MS_REC)
            os.close(fd)


def main() -> None:
    """Make the machine, become the command."""
    given, *command = sys.argv[1:]
    machine = Machine(**json.loads(given))
    os.umask(machine.umask)
    try:
        _become(machine)
        if machine.uid:
            os.setgroups([])
            os.setgid(machine.uid)
            os.setuid(machine.uid)
    except OSError as error:
        sys.exit(f"no such machine here: {error.strerror or error}")
    environ = {k: v for k, v in os.environ.items() if k not in machine.unset}
    os.execve(command[0] if "/" in command[0] else "/bin/" + command[0], command, environ)


if __name__ == "__main__":
    main()
