"""A package index on this machine, of wheels that the tests make."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import pytest

from wheelrun.packaging.archive import new_archive


class Index:
    """A simple index (PEP 503) of the files in a folder.

    Args:
        folder: Where the files are.
        credentials: `user:password` that it asks for, none if empty.
    """

    def __init__(self, folder: Path, credentials: str = "") -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else None
        #: Cleared, it lets requests wait: an index that does not answer.
        self.answers = threading.Event()
        self.answers.set()
        self.downloads: list[str] = []
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answers.wait()
                if index.authorization not in {None, self.headers.get("Authorization")}:
                    self.respond(HTTPStatus.UNAUTHORIZED)
                elif (content := index.content(self.path)) is None:
                    self.respond(HTTPStatus.NOT_FOUND)
                else:
                    self.respond(HTTPStatus.OK, content)

            do_HEAD = do_GET  # noqa: N815 - the server's word

            def respond(self, status: HTTPStatus, content: bytes = b"") -> None:
                self.send_response(status)
                if status is HTTPStatus.UNAUTHORIZED:
                    self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.send_header("Content-Type", "text/html" if "/simple/" in self.path else "application/zip")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}/simple"

    def close(self) -> None:
        self.answers.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def content(self, path: str) -> bytes | None:
        *_, place, name = path.rstrip("/").split("/")
        if place != "simple":
            self.downloads.append(name)
            file = self.folder / name
            return file.read_bytes() if file.is_file() else None
        found = [file for file in sorted(self.folder.iterdir()) if normal(file.name.split("-")[0]) == name]
        links = (f'<a href="/files/{file.name}#sha256={self.sha256(file.name)}">{file.name}</a>' for file in found)
        return "\n".join(links).encode() if found else None

    def sha256(self, name: str) -> str:
        return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()

    def add(
        self,
        name: str,
        version: str = "1.0",
        requires: Sequence[str] = (),
        *,
        tag: str = "py3-none-any",
        files: Mapping[str, str] | None = None,
        python: str = ">=3.8",
        info: Mapping[str, str] | None = None,
    ) -> str:
        """Add a wheel; return its requirement with hash."""
        stem = f"{name.replace('-', '_')}-{version}"
        files = files or {f"{name.replace('-', '_')}/__init__.py": f"VERSION = {version!r}\n"}
        metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {python}"]
        metadata += [f"Requires-Dist: {each}" for each in requires]
        about = {
            "METADATA": "\n".join(metadata) + "\n",
            "WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
            **(info or {}),
        }
        path = self.folder / f"{stem}-{tag}.whl"
        with new_archive(path, f"{stem}.dist-info") as archive:
            for file, text in files.items():
                archive.add_bytes(file, text.encode(), executable=file.endswith(".sh"))
            for file, text in about.items():
                archive.add_bytes(f"{stem}.dist-info/{file}", text.encode())
        return f"{name}=={version} --hash=sha256:{self.sha256(path.name)}"

    def add_source(self, name: str, version: str = "1.0") -> None:
        """Add a source distribution alone."""
        stem = f"{name.replace('-', '_')}-{version}"
        files = {
            "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n",
            "pyproject.toml": f'[project]\nname = "{name}"\nversion = "{version}"\n',
        }
        with tarfile.open(self.folder / f"{stem}.tar.gz", "w:gz") as archive:
            for file, text in files.items():
                info = tarfile.TarInfo(f"{stem}/{file}")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture
def new_index(tmp_path: Path) -> Iterator[Callable[..., Index]]:
    """Make an index by its folder's name, and credentials if it asks for some."""
    made: list[Index] = []

    def make(name: str, credentials: str = "") -> Index:
        made.append(Index(tmp_path / name, credentials))
        return made[-1]

    yield make
    for index in made:
        index.close()


@pytest.fixture
def index(new_index: Callable[..., Index]) -> Index:
    return new_index("index")
