"""Artifact roots of each kind, among them one on a server that speaks S3's protocol."""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wheelrun.orchestrators import remote_root
from wheelrun.orchestrators.roots import Root, StoredFile


@dataclass
class S3Server:
    """A server on the loopback interface, and what it was asked."""

    url: str
    requests: list[str] = field(default_factory=list)
    bodies: int = 0

    def bucket(self) -> str:
        name = f"bucket-{uuid.uuid4().hex}"
        self.client.create_bucket(Bucket=name)
        return name

    @functools.cached_property
    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
        )

    def root(self, url: str, **options: Any) -> Root:
        """Return a root on the server. Those of the same options share a session and the credentials it found."""
        return Root.open(url, options={"endpoint_url": self.url, **options})

    def asked(self, call: Callable[[], Any]) -> list[str]:
        """Return the requests that a call makes: "GET 200"."""
        self.requests.clear()
        self.bodies = 0
        call()
        return list(self.requests)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def counting(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        def told(status: str, *rest: Any) -> Any:
            server.requests.append(f"{environ['REQUEST_METHOD']} {status[:3]}")
            server.bodies += int(environ.get("CONTENT_LENGTH") or 0)
            return start(status, *rest)

        with one_at_a_time:  # moto fails now and then where two replace one key at once, which S3 does not
            return application(environ, told)

    listener = make_server("127.0.0.1", 0, counting, threaded=True)
    server = S3Server(f"http://127.0.0.1:{listener.server_port}")
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    yield server
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    listener.shutdown()
    thread.join()
    listener.server_close()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3Server:
    """The server, with credentials in the environment and none elsewhere."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    return s3_server


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Root:
    """An empty root of each kind, the place of which has a space and a letter that is not in ASCII in its name."""
    if request.param == "folder":
        return Root.open(str(tmp_path / "über root"))
    if request.param == "file":
        return Root.open((tmp_path / "über root").as_uri())
    if request.param == "memory":
        return Root.open(f"memory://{uuid.uuid4().hex}/über root")
    server = request.getfixturevalue("s3")
    return server.root(f"s3://{server.bucket()}/über root")


@pytest.fixture
def age(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make files two hours old: on this machine they are, of others the storage is made to say so."""
    then, old = time.time() - 7200, set()
    real = remote_root._file

    def file(name: str, facts: Mapping[str, Any]) -> StoredFile:
        found = real(name, facts)
        return dataclasses.replace(found, modified=then) if name in old else found

    monkeypatch.setattr(remote_root, "_file", file)

    def made_old(root: Root, *names: str) -> None:
        for name in names:
            if root.is_local:
                os.utime(root.local / name, (then, then))
            else:
                old.add(name)

    return made_old
