"""Folders at paths such as /Workspace, for this process and its children only.

The process gets a root of its own: a folder in memory in which everything of the real root appears, and the folders at
their paths. Linux only; without root where the kernel lets users have namespaces. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 1 << 18
_MNT_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}


def mount(folders: Mapping[str, str], base: Path) -> None:
    """Make folders appear at paths directly below the root, which becomes the working directory.

    Args:
        folders: The path, such as "/Workspace", and the folder that appears there.
        base: An empty folder, which becomes the root.

    Raises:
        OSError: the kernel does not allow it.
    """
    if sys.platform != "linux":
        raise OSError("this system has no namespaces of mounts")
    _own_mounts()
    _mount("tmpfs", base, kind="tmpfs")
    for entry in Path("/").iterdir():
        if str(entry) not in folders:
            _appear(entry, base / entry.name)
    for path, folder in folders.items():
        _appear(Path(folder), base / path.lstrip("/"))
    os.chdir(base)
    _call("syscall", _PIVOT_ROOT[os.uname().machine], b".", b".")
    _call("umount2", b".", _MNT_DETACH)
    os.chdir("/")


def _own_mounts() -> None:
    """Leave the mounts that this process shares with others, as root or as root of a namespace of this user's."""
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", _CLONE_NEWNS)
    except PermissionError:
        _call("unshare", _CLONE_NEWNS | _CLONE_NEWUSER)
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    _mount(None, Path("/"), flags=_MS_REC | _MS_PRIVATE)


def _appear(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir()
        _mount(str(source), target, flags=_MS_BIND | _MS_REC)
    elif source.is_file():
        target.touch()
        with contextlib.suppress(OSError):  # what a file in the root holds matters to nobody's task
            _mount(str(source), target, flags=_MS_BIND)


def _mount(source: str | None, target: Path, *, kind: str | None = None, flags: int = 0) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, str(target), kind)]
    _call("mount", *encoded, flags, None)


def _call(name: str, *arguments: bytes | int | None) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    passed = [ctypes.c_ulong(item) if isinstance(item, int) else item for item in arguments]
    if function(*passed) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
