"""`FolderRoot`: an artifact root that is a folder of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from wheelrun.errors import ClusterError, UploadError
from wheelrun.orchestrators.contract import local_path
from wheelrun.orchestrators.roots import Root, StoredFile, checked, is_older
from wheelrun.runtime.layout import OWN_MARK, write_atomically

# How often a file is written while others remove its folder.
_TRIES = 20


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

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, readable by its owner only; see `Root.write`."""
        path = self._path(name)
        self._make(path, lambda: write_atomically(path, content))

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file that must not be there, readable by its owner only; see `Root.create`."""
        path, made = self._path(name), []

        def make() -> None:
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            made.append(path)

        self._make(path, make)
        return bool(made)

    def read(self, name: str, *, start: int = 0, limit: int | None = None) -> bytes:
        """Return the bytes from `start` on, at most `limit`; see `Root.read`."""
        path = self._path(name)
        with self._reading(path), path.open("rb") as stream:
            stream.seek(start)
            return stream.read(-1 if limit is None else limit)

    def children(self, folder: str) -> Mapping[str, StoredFile | None]:
        """Return what is directly in a folder; see `Root.children`."""
        path = self._path(folder)
        found: dict[str, StoredFile | None] = {}
        with self._reading(path):
            try:
                for child in path.iterdir():
                    found[child.name] = None if child.is_dir() else self.stat(f"{folder}/{child.name}".lstrip("/"))
            except (FileNotFoundError, NotADirectoryError):
                return {}
        return found

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

    def remove(self, names: Collection[str]) -> None:
        """Remove files, and the folders that this leaves empty; see `Root.remove`."""
        for path in map(self._path, names):
            with self._writing(path, "removed"):
                path.unlink(missing_ok=True)
        for folder in {self._path(name).parent for name in names} - {self._folder}:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()

    def _send(self, source: Path, name: str) -> None:
        path = self._path(name)

        def copy() -> None:
            temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
            try:
                shutil.copyfile(source, temporary)
                temporary.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink()

        self._make(path, copy)

    def _download(self, pairs: list[tuple[StoredFile, Path]]) -> None:
        for file, target in pairs:
            path = self._path(file.name)
            with self._reading(path):
                shutil.copyfile(path, target, follow_symlinks=False)

    def _path(self, name: str, *, whole: bool = True) -> Path:
        return self._folder / checked(name, whole=whole)

    def _make(self, path: Path, make: Callable[[], None]) -> None:
        """Make a file's folder, and then the file; again where others remove the empty folder in between."""
        with self._writing(path):
            for left in reversed(range(_TRIES)):
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    make()
                    break
                except (FileNotFoundError, FileExistsError):
                    if not left:
                        raise
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
