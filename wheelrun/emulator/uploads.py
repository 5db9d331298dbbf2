"""Files that come in parts, to addresses that need no token since they are signed."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import State
from wheelrun.emulator.storage import Storage, copy_into

_MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class Uploads:
    """The uploads under way.

    Attributes:
        state: What the emulator remembers.
        storage: Where files go when all parts are there.
    """

    state: State
    storage: Storage

    def begin(self, path: str, *, overwrite: bool) -> str:
        """Return the token of a new upload.

        Raises:
            ApiError: the file is there and is not to be replaced.
        """
        if not overwrite and self.storage.find(path) is not None:
            raise self.storage.refusal("exists", path)
        token = secrets.token_urlsafe(24)
        self._folder(token).mkdir(mode=0o700)
        self.state.put("upload", token, {"path": path, "overwrite": overwrite})
        return token

    def check(self, token: str, path: str) -> bool:
        """Return whether the upload may replace a file.

        Raises:
            ApiError: it is not under way, or not to this path.
        """
        document = self.state.get("upload", token)
        if document is None or document["path"] != path:
            raise ApiError("NOT_FOUND", "The upload session does not exist or has ended")
        return bool(document["overwrite"])

    def part(self, token: str, number: int) -> Path:
        """Return the file of a part.

        Raises:
            ApiError: the upload is not under way, or has no such part.
        """
        if self.state.get("upload", token) is None:
            raise ApiError("NOT_FOUND", "The upload session does not exist or has ended")
        if not 1 <= number <= _MOST_PARTS:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Part numbers are 1 to {_MOST_PARTS}")
        return self._folder(token) / str(number)

    def complete(self, token: str, path: str, parts: Sequence[Mapping[str, Any]]) -> None:
        """Put the parts together.

        Raises:
            ApiError: one is not there, or is not what its tag says.
        """
        overwrite = self.check(token, path)
        if not parts:
            raise ApiError("INVALID_PARAMETER_VALUE", "An upload has at least one part")
        files = []
        for item in sorted(parts, key=lambda item: int(item["part_number"])):
            file = self.part(token, int(item["part_number"]))
            if not file.is_file() or tag(file) != item.get("etag"):
                raise ApiError("INVALID_PARAMETER_VALUE", f"Part {item['part_number']} is not there, or is another one")
            files.append(file)
        with self.storage.writing(path, overwrite=overwrite, parents=True) as stream:
            for file in files:
                copy_into(stream, file)
        self.abort(token, path)

    def abort(self, token: str, path: str) -> None:
        """Forget an upload.

        Raises:
            ApiError: it is not under way.
        """
        self.check(token, path)
        self.state.delete("upload", token)
        shutil.rmtree(self._folder(token), ignore_errors=True)

    def _folder(self, token: str) -> Path:
        return self.state.partial / f"upload-{token}"


def tag(file: Path) -> str:
    """Return a file's entity tag."""
    with file.open("rb") as stream:
        digest = hashlib.md5(usedforsecurity=False)
        while block := stream.read(1 << 20):
            digest.update(block)
    return f'"{digest.hexdigest()}"'


def signed(state: State, method: str, path: str, expire_time: str) -> str:
    """Return an address below the emulator's that can be called without a token until it expires.

    Args:
        state: What the emulator remembers.
        method: The HTTP method.
        path: The path.
        expire_time: When it expires, as "2026-01-01T00:00:00Z".

    Raises:
        ApiError: that is no time.
    """
    try:
        expires = int(datetime.fromisoformat(expire_time.replace("Z", "+00:00")).timestamp())
    except ValueError as error:
        raise ApiError("INVALID_PARAMETER_VALUE", f"expire_time: {error}") from error
    query = urlencode({"expires": expires, "signature": _signature(state, method, path, str(expires))})
    return f"{state.host}{quote(path)}?{query}"


def is_signed(state: State, method: str, path: str, query: Mapping[str, str]) -> bool:
    """Whether a call is one that `signed` made, and in time."""
    expires = query.get("expires", "")
    expected = _signature(state, method, path, expires)
    good = hmac.compare_digest(query.get("signature", "").encode(), expected.encode())
    return good and time.time() < int(expires)


def _signature(state: State, method: str, path: str, expires: str) -> str:
    return hmac.new(state.token.encode(), f"{method}\n{path}\n{expires}".encode(), hashlib.sha256).hexdigest()
