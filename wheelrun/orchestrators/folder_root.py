"""`FolderRoot`: an artifact root that is a folder of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from wheelrun.errors import ClusterError, UploadError
from wheelrun.orchestrators.contract import local_path
from wheelrun.orchestrators.roots import Root, StoredFile, checked, is_older
from wheelrun.runtime.layout import OWN_MARK, write_atomically

# How often a file is written while others remove its folder.
_TRIES = 5


class FolderRoot(Root):
    """An artifact root that is a folder of this machine; fsspec is not needed.

    Args:
        url: A path or a file:// URL.

    Raises:
        ConfigurationError: The URL is that of another machine.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._folder = local_path(url)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return True

    @property
    def local(self) -> Path:
        """The folder."""
        return self._folder

    def stat(self, name: str) -> StoredFile | None:
        """Return what is known of a file, None if it is not there."""
        path = self._path(name)
        with self._reading(path):
            if not path.is_file():
                return None
            try:
                found = path.stat()
            except FileNotFoundError:
                return None
        return StoredFile(name=name, bytes=found.st_size, modified=found.st_mtime)

    def put(self, source: Path, name: str) -> int:
        """Put a file there whole or not at all, and return the bytes that were written; see `Root.put`."""
        path = self._path(name)
        size = source.stat().st_size
        if self.keep(name, size=size):
            return 0
        with self._writing(path):
            for last in (False,) * (_TRIES - 1) + (True,):
                temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
                try:
                    self._make(path.parent)
                    shutil.copyfile(source, temporary)
                    temporary.replace(path)
                    break
                except FileNotFoundError:  # the folder was just collected
                    if last:
                        raise
                finally:
                    with contextlib.suppress(OSError):
                        temporary.unlink()
        return size

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, readable by its owner only; see `Root.write`."""
        path = self._path(name)
        with self._writing(path):
            self._make(path.parent)
            write_atomically(path, content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file that must not be there, readable by its owner only; see `Root.create`."""
        path = self._path(name)
        with self._writing(path):
            self._make(path.parent)
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return False
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
        return True

    def read(self, name: str, *, start: int = 0, limit: int | None = None) -> bytes:
        """Return the bytes from `start` on, at most `limit`; see `Root.read`."""
        path = self._path(name)
        with self._reading(path), path.open("rb") as stream:
            stream.seek(start)
            return stream.read(-1 if limit is None else limit)

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder; see `Root.names`."""
        path = self._path(folder)
        with self._reading(path):
            try:
                return sorted(child.name for child in path.iterdir() if not child.name.startswith("."))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def files(self, folder: str) -> list[StoredFile]:
        """Return every file below a folder; see `Root.files`."""
        start = self._path(folder)
        found = []
        with self._reading(start):
            for here, _, names in os.walk(start, onerror=_raise):
                for name in names:
                    path = Path(here, name)
                    with contextlib.suppress(FileNotFoundError):
                        facts = path.lstat()
                        if path.is_symlink() or not path.is_file():
                            continue
                        below = path.relative_to(self._folder).as_posix()
                        found.append(StoredFile(name=below, bytes=facts.st_size, modified=facts.st_mtime))
        return sorted(found, key=lambda file: file.name)

    def delete(self, name: str, *, before: float | None = None) -> int | None:
        """Remove a folder or a file; see `Root.delete`."""
        path = self._path(name, whole=False)
        single = self.stat(name)
        files = self.files(name) if single is None else [single]
        if before is not None and not all(is_older(file, before) for file in files):
            return None
        with self._writing(path, "removed"), contextlib.suppress(FileNotFoundError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        return sum(file.bytes for file in files)

    def _renew(self, name: str) -> None:
        # Another person's file cannot be touched; then it is that person's runs, found below the root, that keep it.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            os.utime(self._path(name))

    def _download(self, pairs: list[tuple[str, Path]]) -> None:
        for name, target in pairs:
            path = self._path(name)
            with self._reading(path):
                shutil.copyfile(path, target, follow_symlinks=False)

    def _path(self, name: str, *, whole: bool = True) -> Path:
        return self._folder / checked(name, whole=whole)

    def _make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if not (self._folder / OWN_MARK).exists():
            (self._folder / OWN_MARK).touch(mode=0o600)

    @contextlib.contextmanager
    def _writing(self, path: Path, done: str = "written") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UploadError(
                f"{path} cannot be {done}: {error.strerror or error}", hint="free some space, or set artifact_root"
            ) from error

    @contextlib.contextmanager
    def _reading(self, path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ClusterError(
                f"{path} cannot be read: {error.strerror or error}", hint="make it accessible, or set artifact_root"
            ) from error


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
