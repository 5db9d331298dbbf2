"""`RemoteRoot`: an artifact root behind a URL, through fsspec, which is imported here only.

Requests are what this costs, so each method says how many it makes of an object store that has what is asked for.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from wheelrun.errors import ClusterError, ConfigurationError, SubmissionError, UploadError
from wheelrun.orchestrators.roots import Root, StoredFile, checked, is_older
from wheelrun.orchestrators.storage_errors import BEYOND_THE_END, GIVE_CREDENTIALS, NO_BUCKET, explained, marks
from wheelrun.runtime.masking import MASK, is_secret

# fsspec's first name for each of these; in an object store a file appears whole, by one request.
_OBJECT_STORES: Mapping[str, str] = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "abfs": "abfs", "abfss": "abfs", "az": "abfs", "memory": "memory",
}  # fmt: skip
# What implements it, and the extra of ours that brings it.
_PACKAGES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "abfs": ("adlfs", "azure"), "hdfs": ("pyarrow", "hdfs")}
_LOGGERS = ("fsspec", "s3fs", "gcsfs", "adlfs", "azure")
_SILENCE = logging.NullHandler()
_CREDENTIAL_OPTIONS = {"s3": ("key", "secret")}  # of implementations that do not look for them in the URL
_TIMES = ("LastModified", "mtime", "last_modified", "updated", "created", "modificationTime")
_MILLISECONDS = 1e11  # a time that is greater is not in seconds
_MAGIC = re.compile(r"[*?\[]")
_AT_ONCE = 8
_BATCH = 1000
_FEW = 3
# Seconds that a request may take, one with many parts, and the fewest bytes per second of one that carries a file.
_SHORT = 60.0
_LONG = 600.0
_SLOWEST = 50_000


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

    `put` costs one request where the file is and was written or used a moment ago, three where that is longer ago, and
    three where the file is sent.

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
        with self._reading(name) as path:
            try:
                facts = self._ask("info", path)
            except FileNotFoundError as error:
                if marks(error) & NO_BUCKET:
                    raise
                return None
        return None if facts.get("type") == "directory" else _file(name, facts)

    def write(self, name: str, content: bytes) -> None:
        """Write a small file; see `Root.write`. One request."""
        with self._writing(name) as path:
            self._ask("pipe_file", path, content)

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
        with self._reading(name) as path:
            try:
                return self._piece(path, start, limit)
            except FileNotFoundError as error:
                if marks(error) & NO_BUCKET:
                    raise
                raise FileNotFoundError(f"{self.place(name)} is not there") from error
            except Exception as error:
                if marks(error) & BEYOND_THE_END or (self._has_folders and start >= (self.size(name) or 0)):
                    return b""
                raise

    def _piece(self, path: str, start: int, limit: int | None) -> bytes:
        if self._has_folders:  # some of fsspec's implementations of cat_file do not heed the range
            with self._fs.open(path, "rb") as stream:
                if start:
                    stream.seek(start)
                return bytes(stream.read() if limit is None else stream.read(limit))
        # s3fs asks for the size first where there is no start at all.
        end, seconds = (None, _LONG) if limit is None else (start + limit, _SHORT + limit / _SLOWEST)
        return bytes(self._ask("cat_file", path, seconds=seconds, start=start, end=end))

    def children(self, folder: str) -> Mapping[str, StoredFile | None]:
        """Return what is directly in a folder; see `Root.children`. One request for each 1,000."""
        path, start = self._path(folder), len(self._root) + 1
        return {
            name.rpartition("/")[2]: None if facts.get("type") == "directory" else _file(name[start:], facts)
            for name, facts in self._listed("ls", folder).items()
            if name.startswith(f"{path}/") and not name.endswith("/")
        }

    def files(self, folder: str) -> list[StoredFile]:
        """Return every file below a folder; see `Root.files`. One request for each 1,000."""
        return [file for file in self._found(folder) if file.name != folder]

    def delete(self, name: str, *, before: float | None = None) -> int | None:
        """Remove a folder or a file; see `Root.delete`. A few requests, and three for each 1,000 files."""
        files = self._found(checked(name, whole=False))
        if before is not None and not all(is_older(file, before) for file in files):
            return None
        names = {file.name for file in files}
        with self._doing(UploadError, name, "removed") as path:
            if self._has_folders and not _MAGIC.search(path):
                with contextlib.suppress(FileNotFoundError):
                    self._ask("rm", path, seconds=_LONG, recursive=True)
            else:
                self.remove(names)
            if len(names) > _FEW and any(file.name in names for file in self._found(name)):
                raise PermissionError(name)  # s3fs does not tell what became of many
        return sum(file.bytes for file in files)

    def remove(self, names: Collection[str]) -> None:
        """Remove files; see `Root.remove`. One request for each; many go at once, and are not looked after."""
        for name in names:
            if self._has_folders:  # elsewhere a name that leads out is one like any other
                checked(name, whole=False)
        paths = sorted(f"{self._root}/{name}" for name in names)
        # fsspec would read these as patterns.
        single = [path for path in paths if _MAGIC.search(path) or len(paths) <= _FEW]
        many = [path for path in paths if path not in single]
        with self._doing(UploadError, "", "written"):
            for start in range(0, len(many), _BATCH):
                self._ask("rm", many[start : start + _BATCH])
            for path in single:
                with contextlib.suppress(FileNotFoundError):
                    self._ask("rm_file", path)

    def _found(self, name: str) -> list[StoredFile]:
        """Return every file below a folder, or the file of that name."""
        path, start = self._path(name), len(self._root) + 1
        return sorted(
            (
                _file(each[start:], facts)
                for each, facts in self._listed("find", name).items()
                if f"{each}/".startswith(f"{path}/") and not each.endswith("/") and facts.get("type") != "directory"
            ),
            key=lambda file: file.name,
        )

    def _listed(self, method: str, name: str) -> dict[str, Mapping[str, Any]]:
        """List a folder by a method of fsspec's; nothing if it is missing."""
        with self._reading(name) as path:
            self._fs.invalidate_cache()
            try:
                found = self._ask(method, path, seconds=_LONG, detail=True)
            except (FileNotFoundError, NotADirectoryError) as error:
                if marks(error) & NO_BUCKET:
                    raise
                return {}
        return found if isinstance(found, dict) else {facts["name"].rstrip("/"): facts for facts in found}

    def _send(self, source: Path, name: str) -> None:
        if self._kind == "memory":  # there a file that is put can be seen to grow
            self.write(name, source.read_bytes())
            return
        with self._writing(name) as path:
            self._ask("put_file", str(source), path, seconds=_SHORT + source.stat().st_size / _SLOWEST)

    def _download(self, pairs: list[tuple[StoredFile, Path]]) -> None:
        def get(pair: tuple[StoredFile, Path]) -> None:
            file, target = pair
            with self._reading(file.name) as path:
                self._ask("get_file", path, str(target), seconds=_SHORT + file.bytes / _SLOWEST)

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
            list(pool.map(get, pairs))

    def _ask(self, method: str, *arguments: Any, seconds: float | None = None, **options: Any) -> Any:
        """Call a method of fsspec's implementation, for so long at most.

        SDKs wait for long, again and again; and one whose request for leave to send is not answered waits for ever.
        """
        if self._fs.async_impl:  # those that are not have no such limit
            options["timeout"] = _SHORT if seconds is None else seconds
        return getattr(self._fs, method)(*arguments, **options)

    def _path(self, name: str) -> str:
        return f"{self._root}/{checked(name)}" if name else self._root

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[str]:
        """Give the path to write to: the file's own in an object store, else one that then takes its name."""
        checked(name, whole=False)
        with self._doing(UploadError, name, "written") as path:
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

    def _reading(self, name: str) -> contextlib.AbstractContextManager[str]:
        return self._doing(ClusterError, name, "read")

    @contextlib.contextmanager
    def _doing(self, kind: type[SubmissionError], name: str, done: str) -> Iterator[str]:
        """Give a name's path, and turn what the storage raises into `kind`.

        A file that is not there stays a FileNotFoundError when it is read.
        """
        path = self._path(name)
        try:
            yield path
        except SubmissionError:
            raise
        except Exception as error:
            missing = isinstance(error, FileNotFoundError) and kind is ClusterError
            if missing and not marks(error) & NO_BUCKET:
                raise
            doing = f"{self.place(name)} cannot be {done}"
            raise explained(error, kind, doing, self._kind, self._secret) from error


def _filesystem(url: str, public: str, kind: str, secret: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    package, extra = _PACKAGES.get(kind, (f"what implements {kind}://", "remote"))
    hint = f"pip install 'wheelrun[{extra}]'"
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ConfigurationError(f"artifact_root {public!r} needs fsspec, which is not installed", hint=hint) from None
    for name in _LOGGERS:  # what nobody listens to would go to standard error, tracebacks and all
        logging.getLogger(name).addHandler(_SILENCE)
    try:
        filesystem, path = url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as error:
        said = f"artifact_root {public!r} needs {package}, which is not installed"
        raise ConfigurationError(said, hint=hint) from error
    except (ValueError, TypeError) as error:
        said = str(error).replace(secret, MASK) if secret else str(error)
        hint = GIVE_CREDENTIALS.get(kind, "set it to a folder, or to a URL: s3://, gs://, abfs://, hdfs://")
        raise ConfigurationError(f"artifact_root {public!r} cannot be used: {said}", hint=hint) from error
    except Exception as error:
        raise explained(error, ClusterError, f"{public} cannot be opened", kind, secret) from error
    return filesystem, path


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
