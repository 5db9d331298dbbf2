"""dbutils.fs: the files of DBFS, volumes, the workspace and the driver."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from .task import current

_TREES = ("/Volumes", "/Workspace")


class FileInfo(NamedTuple):
    """A file as `ls` lists it: its time of change is in milliseconds."""

    path: str
    name: str
    size: int
    modificationTime: int  # noqa: N815 - as users read it

    def isDir(self) -> bool:  # noqa: N802 - likewise
        """Whether it is a folder."""
        return self.name.endswith("/")

    def isFile(self) -> bool:  # noqa: N802 - likewise
        """Whether it is a file."""
        return not self.isDir()


def located(path: str) -> Path:
    """Return the file that a path of dbutils means: without a scheme, of a volume or the workspace, else of DBFS."""
    roots = current().roots
    if path.startswith("file:"):
        return _below(roots, "/" + path.removeprefix("file:").lstrip("/"))
    plain = "/" + path.removeprefix("dbfs:").lstrip("/")
    if plain.startswith(tuple(f"{tree}/" for tree in _TREES)) or plain in _TREES:
        return _below(roots, plain)
    return Path(roots["/dbfs"] + plain)


def _below(roots: dict[str, str], path: str) -> Path:
    for root, folder in roots.items():
        if path == root or path.startswith(f"{root}/"):
            return Path(folder + path.removeprefix(root))
    return Path(path)


class Files:
    """What dbutils does with files. A path may have the scheme dbfs: or file:."""

    def ls(self, path: str) -> list[FileInfo]:
        """Return what is in a folder, or the file itself.

        Raises:
            FileNotFoundError: there is nothing.
        """
        base = located(path)
        prefix = path if ":" in path.partition("/")[0] else f"dbfs:{path}"
        if not base.is_dir():
            return [_info(base, prefix)]
        return [_info(entry, f"{prefix.rstrip('/')}/{entry.name}") for entry in sorted(base.iterdir())]

    def mkdirs(self, path: str) -> bool:
        """Make a folder, and those above it."""
        located(path).mkdir(parents=True, exist_ok=True)
        return True

    def put(self, path: str, contents: str, overwrite: bool = False) -> bool:
        """Write text into a file.

        Raises:
            FileExistsError: there is one, and it is not to be overwritten.
        """
        file = located(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w" if overwrite else "x", encoding="utf-8") as stream:
            stream.write(contents)
        return True

    def head(self, path: str, maxBytes: int = 65536) -> str:  # noqa: N803 - as users call it
        """Return the beginning of a file as text."""
        with located(path).open("rb") as stream:
            return stream.read(maxBytes).decode("utf-8", "replace")

    def cp(self, source: str, target: str, recurse: bool = False) -> bool:
        """Copy a file, or with `recurse` a folder.

        Raises:
            IsADirectoryError: it is a folder, and `recurse` was not given.
        """
        old, new = located(source), _inside(located(target), source)
        new.parent.mkdir(parents=True, exist_ok=True)
        if recurse and old.is_dir():
            shutil.copytree(old, located(target), dirs_exist_ok=True)
        else:
            shutil.copyfile(old, new)
        return True

    def mv(self, source: str, target: str, recurse: bool = False) -> bool:
        """Move a file, or with `recurse` a folder."""
        return self.cp(source, target, recurse) and self.rm(source, recurse)

    def rm(self, path: str, recurse: bool = False) -> bool:
        """Remove a file, an empty folder, or with `recurse` a folder with what is in it; return whether it was there.

        Raises:
            OSError: it is a folder that is not empty.
        """
        file = located(path)
        if not file.exists():
            return False
        if not file.is_dir():
            file.unlink()
        elif recurse:
            shutil.rmtree(file)
        else:
            file.rmdir()
        return True


def _inside(target: Path, source: str) -> Path:
    """Return where a file goes that is copied to a folder: into it."""
    return target / source.rstrip("/").rpartition("/")[2] if target.is_dir() else target


def _info(file: Path, path: str) -> FileInfo:
    status = file.stat()
    mark = "/" if file.is_dir() else ""
    return FileInfo(
        path=path + mark,
        name=file.name + mark,
        size=0 if mark else status.st_size,
        modificationTime=int(status.st_mtime * 1000),
    )
