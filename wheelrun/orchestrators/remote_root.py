"""`RemoteRoot`: an artifact root behind a URL, through fsspec, which is imported here only.

Requests are what this costs, so each method says how many it makes of an object store that has what is asked for.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from wheelrun.errors import ClusterError, ConfigurationError, SubmissionError, UploadError
from wheelrun.orchestrators.roots import Root, StoredFile, checked, is_older
from wheelrun.orchestrators.storage_errors import BEYOND_THE_END, NO_BUCKET, explained, marks
from wheelrun.runtime.masking import is_secret

# fsspec's first name for each of these; in an object store a file appears whole, by one request.
_OBJECT_STORES: Mapping[str, str] = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "abfs": "abfs", "abfss": "abfs", "az": "abfs", "memory": "memory",
}  # fmt: skip
_PACKAGES = {"s3": "wheelrun[s3]", "gs": "wheelrun[gcs]", "abfs": "wheelrun[azure]", "hdfs": "wheelrun[hdfs]"}
_CREDENTIAL_OPTIONS = {"s3": ("key", "secret")}  # of implementations that do not look for them in the URL
_TIMES = ("LastModified", "mtime", "last_modified", "updated", "created", "modificationTime")
_MILLISECONDS = 1e11  # a time that is greater is not in seconds
_MAGIC = re.compile(r"[*?\[]")
_AT_ONCE = 8
_BATCH = 1000
_FEW = 3

USED = ".used"
"""A mark beside a file: it was found to be there and counts as written when the mark was."""


def open_remote(url: str, options: Mapping[str, Any]) -> RemoteRoot:
    """Return the root at a URL; see `Root.open`."""
    scheme, _, rest = url.partition("://")
    kind = _OBJECT_STORES.get(scheme.lower(), scheme.lower())
    public, user, password = _without_credentials(scheme, rest, kind)
    if any(is_secret(name) or name == "sig" for name, _ in parse_qsl(rest.partition("?")[2])):
        raise ConfigurationError(
            f"artifact_root {public.partition('?')[0]!r} has a secret in its query",
            hint="leave it out, and give the credentials in the environment",
        )
    given = dict(options)
    if password and kind in _CREDENTIAL_OPTIONS:
        given = {**dict(zip(_CREDENTIAL_OPTIONS[kind], (unquote(user), unquote(password)), strict=True)), **given}
        url = public
    filesystem, path = _filesystem(url, public, kind, password, given)
    if not path.strip("/") and kind in _OBJECT_STORES and kind != "memory":
        raise ConfigurationError(f"artifact_root {public!r} names no bucket", hint=f'give one: "{scheme}://bucket/x"')
    return RemoteRoot(public, filesystem, path.rstrip("/"), kind=kind, secret=password)


class RemoteRoot(Root):
    """An artifact root behind a URL.

    Args:
        url: The URL, without credentials.
        filesystem: fsspec's implementation.
        path: The root, as that names it.
        kind: The kind of storage, by fsspec's first name for it.
        secret: A text that must not be shown, if any.
    """

    def __init__(self, url: str, filesystem: Any, path: str, *, kind: str, secret: str = "") -> None:
        self.url = url
        self._fs = filesystem
        self._root = path
        self._kind = kind
        self._secret = secret
        self._has_folders = kind not in _OBJECT_STORES

    def stat(self, name: str) -> StoredFile | None:
        """Return what is known of a file, None if it is not there. One request; two if it is not there."""
        with self._reading(name):
            try:
                facts = self._fs.info(self._path(name))
            except FileNotFoundError as error:
                if marks(error) & NO_BUCKET:
                    raise
                return None
        return None if facts.get("type") == "directory" else _file(name, facts)

    def put(self, source: Path, name: str) -> int:
        """Put a file there whole or not at all, and return the bytes that were sent; see `Root.put`.

        One request if it is there and was written or used a moment ago, three if it was not, three if it is sent.
        """
        size = source.stat().st_size
        if self.keep(name, size=size):
            return 0
        with self._writing(name) as path:
            self._fs.put_file(str(source), path)
        return size

    def write(self, name: str, content: bytes) -> None:
        """Write a small file; see `Root.write`. One request."""
        with self._writing(name) as path:
            self._fs.pipe_file(path, content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file that must not be there; see `Root.create`. Storages that cannot tell are asked first."""
        if self.exists(name):
            return False
        with self._writing(name) as path:
            try:
                self._fs.pipe_file(path, content, mode="create")
            except FileExistsError:
                return False
            except (TypeError, NotImplementedError):  # an older fsspec, or a storage without the condition
                self._fs.pipe_file(path, content)
        return True

    def read(self, name: str, *, start: int = 0, limit: int | None = None) -> bytes:
        """Return the bytes from `start` on, at most `limit`; see `Root.read`. One request."""
        if limit == 0:
            return b""
        # Without a start, s3fs asks for the size first; with one, files of other storages must be able to seek.
        first = start if start or not self._has_folders else None
        with self._reading(name):
            try:
                found = self._fs.cat_file(self._path(name), start=first, end=None if limit is None else start + limit)
            except FileNotFoundError as error:
                if marks(error) & NO_BUCKET:
                    raise
                raise FileNotFoundError(f"{self.place(name)} is not there") from error
            except Exception as error:
                if marks(error) & BEYOND_THE_END or (self._has_folders and start >= (self.size(name) or 0)):
                    return b""
                raise
        return bytes(found)

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder; see `Root.names`. One request for each 1,000."""
        path = self._path(folder)
        with self._reading(folder):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(path, detail=False)
            except (FileNotFoundError, NotADirectoryError) as error:
                if marks(error) & NO_BUCKET:
                    raise
                return []
        names = {name.rstrip("/")[len(path) + 1 :] for name in found if name.startswith(f"{path}/")}
        return sorted(name for name in names if name and not name.startswith("."))

    def files(self, folder: str) -> list[StoredFile]:
        """Return every file below a folder; see `Root.files`. One request for each 1,000."""
        return [file for file in self._found(folder) if file.name != folder]

    def delete(self, name: str, *, before: float | None = None) -> int | None:
        """Remove a folder or a file; see `Root.delete`. A few requests, and three for each 1,000 files."""
        files = self._found(checked(name, whole=False))
        if before is not None and not all(is_older(file, before) for file in files):
            return None
        with self._doing(UploadError, name, "removed"):
            if self._has_folders and not _MAGIC.search(self._path(name)):
                with contextlib.suppress(FileNotFoundError):
                    self._fs.rm(self._path(name), recursive=True)
            else:
                self._remove(name, [f"{self._root}/{file.name}" for file in files])
        return sum(file.bytes for file in files)

    def _found(self, name: str) -> list[StoredFile]:
        """Return every file below a folder, or the file of that name."""
        path = self._path(name)
        with self._reading(name):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(path, detail=True)
            except (FileNotFoundError, NotADirectoryError) as error:
                if marks(error) & NO_BUCKET:
                    raise
                return []
        start = len(self._root) + 1
        return sorted(
            (
                _file(each[start:], facts)
                for each, facts in found.items()
                if f"{each}/".startswith(f"{path}/") and not each.endswith("/") and facts.get("type") != "directory"
            ),
            key=lambda file: file.name,
        )

    def _remove(self, name: str, paths: list[str]) -> None:
        """Remove files: many at a time, but few, and those whose names would be read as patterns, one by one."""
        plain = [path for path in paths if not _MAGIC.search(path)]
        if len(plain) <= _FEW:
            plain = []
        for start in range(0, len(plain), _BATCH):
            self._fs.rm(plain[start : start + _BATCH])
        for path in sorted({*paths} - {*plain}):
            self._fs.rm_file(path)
        if plain and {f"{self._root}/{file.name}" for file in self._found(name)} & {*plain}:  # s3fs does not tell
            raise PermissionError(name)

    def _renew(self, name: str) -> None:
        # A file cannot be touched in an object store, and to send it again is what is to be avoided.
        self.write(f"{name.rpartition('/')[0]}/{USED}".lstrip("/"), b"")

    def _download(self, pairs: list[tuple[str, Path]]) -> None:
        def get(pair: tuple[str, Path]) -> None:
            name, target = pair
            with self._reading(name):
                self._fs.get_file(self._path(name), str(target))

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
            list(pool.map(get, pairs))

    def _path(self, name: str) -> str:
        return f"{self._root}/{checked(name)}" if name else self._root

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[str]:
        """Give the path to write to: the file's own in an object store, else one that then takes its name."""
        path = self._path(checked(name, whole=False))
        with self._doing(UploadError, name, "written"):
            if not self._has_folders:
                yield path
                return
            folder, _, last = path.rpartition("/")
            temporary = f"{folder}/.{last}.{os.getpid()}.{os.urandom(4).hex()}"
            try:
                self._fs.makedirs(folder, exist_ok=True)
                yield temporary
                self._rename(temporary, path)
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is the one to tell
                    self._fs.rm_file(temporary)
                raise

    def _rename(self, temporary: str, path: str) -> None:
        try:
            self._fs.mv(temporary, path)
        except Exception:
            if not self._fs.exists(path):
                raise
            self._fs.rm_file(path)  # HDFS does not rename onto a file that is there
            self._fs.mv(temporary, path)

    def _reading(self, name: str) -> contextlib.AbstractContextManager[None]:
        return self._doing(ClusterError, name, "read")

    @contextlib.contextmanager
    def _doing(self, kind: type[SubmissionError], name: str, done: str) -> Iterator[None]:
        """Turn what the storage raises into `kind`; a file that is not there stays a FileNotFoundError when read."""
        try:
            yield
        except SubmissionError:
            raise
        except Exception as error:
            missing = isinstance(error, FileNotFoundError) and kind is ClusterError
            if missing and not marks(error) & NO_BUCKET:
                raise
            doing = f"{self.place(name)} cannot be {done}"
            raise explained(error, kind, doing, self._kind, self._secret) from error


def _filesystem(url: str, public: str, kind: str, secret: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise _missing(public, kind, "fsspec") from None
    try:
        filesystem, path = url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as error:
        raise _missing(public, kind, error.name or "a package for it") from error
    except (ValueError, TypeError) as error:
        said = str(error).replace(secret, "****") if secret else str(error)
        raise ConfigurationError(
            f"artifact_root {public!r} cannot be used: {said}", hint="a folder, s3://, gs://, abfs:// or hdfs://"
        ) from error
    except Exception as error:
        raise explained(error, ClusterError, f"{public} cannot be opened", kind, secret) from error
    return filesystem, path


def _missing(url: str, kind: str, package: str) -> ConfigurationError:
    return ConfigurationError(
        f"artifact_root {url!r} needs {package}, which is not installed",
        hint=f"pip install '{_PACKAGES.get(kind, 'wheelrun[remote]')}'",
    )


def _without_credentials(scheme: str, rest: str, kind: str) -> tuple[str, str, str]:
    """Return a URL without the credentials in it, the user and the password; those are empty if there is no password.

    A bucket has no port, so what stands between a colon and an at sign is a password there, slashes and all.
    """
    password = "[^@]*" if kind in _CREDENTIAL_OPTIONS else "[^@/]*"
    found = re.match(f"([^@/:]*):({password})@", rest)
    if found is None:
        return f"{scheme}://{rest}", "", ""
    return f"{scheme}://{rest[found.end() :]}", found[1], found[2]


def _file(name: str, facts: Mapping[str, Any]) -> StoredFile:
    return StoredFile(name=name, bytes=int(facts.get("size") or 0), modified=_modified(facts))


def _modified(facts: Mapping[str, Any]) -> float | None:
    for key in _TIMES:
        value = facts.get(key)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value / 1000 if value > _MILLISECONDS else float(value)
    return None
