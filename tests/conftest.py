"""What all tests share: an environment that knows nothing of the person who runs them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

# Short jobs spend most of their time on the JVM's own optimising: without it they take half as long.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

# What a shell starts in the background ignores Ctrl-C, what nohup starts ignores hang-ups, and children inherit that.
for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, default)


ENGINE = os.environ.get("WHEELRUN_TEST_DOCKER_HOST", "")
"""The Docker engine for tests; nothing is skipped that finds one."""


@pytest.fixture(autouse=True)
def environ(tmp_path_factory, monkeypatch):
    """Point wheelrun away from the real home; the environment is given too, for those that pass it on."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith("WHEELRUN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WHEELRUN_HOME", str(home))
    monkeypatch.setenv("WHEELRUN_CONFIG_DIR", str(home / "config"))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    return dict(os.environ)


@dataclass(frozen=True)
class SparkCluster:
    """A cluster on this machine: the environment that it is known by, and the tables of its targets."""

    environ: dict[str, str]
    targets: dict[str, dict[str, str]]

    @property
    def connect(self):
        """The table of the target that goes through the Connect server."""
        if "connect" not in self.targets:
            pytest.skip(NO_CONNECT)
        return self.targets["connect"]


NO_CONNECT = "this Spark brings no Connect server: pyspark 4 or newer does"


@pytest.fixture(scope="session")
def brings_connect():
    """Skip what wants a Connect server where Spark brings none."""
    from wheelrun.runtime.java import find_spark

    if not find_spark(os.environ).brings_connect:
        pytest.skip(NO_CONNECT)


@pytest.fixture(scope="session")
def spark_cluster(tmp_path_factory):
    """A real cluster on this machine, which serves the whole test session; who breaks a part of it mends it."""
    from wheelrun import cluster
    from wheelrun.runtime.java import find_spark

    kept = {name: value for name, value in os.environ.items() if not name.startswith("WHEELRUN_")}
    environ = {**kept, "WHEELRUN_HOME": str(tmp_path_factory.mktemp("cluster")), "PYTHONPATH": str(Path.cwd())}
    cluster.up(environ, workers=2, cores=3, connect=find_spark(environ).brings_connect)
    yield SparkCluster(environ, cluster.targets(environ))
    cluster.down(environ)


@pytest.fixture(scope="session")
def docker_engine():
    """The address of a real engine for tests (`scripts/docker-engine up`), and its base image's name."""
    if not ENGINE:
        pytest.skip("no Docker engine for tests: scripts/docker-engine up, and WHEELRUN_TEST_DOCKER_HOST")
    script = Path(__file__).parent.parent / "scripts" / "docker-base-image"
    done = subprocess.run([sys.executable, script, ENGINE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return DockerEngine(ENGINE, done.stdout.strip())


@dataclass(frozen=True)
class DockerEngine:
    """An engine: its address, and the image that runs start from on it."""

    url: str
    image: str


@pytest.fixture
def docker_target(docker_engine, tmp_path, monkeypatch, environ):
    """The table of a target on the engine; its containers see the test's own folder too."""
    environ["DOCKER_HOST"] = docker_engine.url
    monkeypatch.setenv("DOCKER_HOST", docker_engine.url)
    yield {
        "orchestrator": "docker",
        "image": docker_engine.image,
        "pull": "never",
        "network": "host",
        "volumes": [f"{tmp_path}:{tmp_path}"],
    }
    import docker

    stores = (str(tmp_path), environ["WHEELRUN_HOME"])
    with contextlib.closing(docker.APIClient(base_url=docker_engine.url)) as client:
        made = client.images(filters={"label": "io.wheelrun.keeper"})
        for image in made:  # the youngest come first, and those stand on the others
            if any(store in image["Labels"]["io.wheelrun.keeper"] for store in stores):
                with contextlib.suppress(docker.errors.APIError):  # it went with another one
                    client.remove_image(image["Id"], force=True)


class Call(NamedTuple):
    """A request that a test's server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@contextlib.contextmanager
def _serving(answer):
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append(Call(self.command, self.path, dict(self.headers), body))
            given = answer(seen[-1])
            if given is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, content = given
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 - the name that the server looks for

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def serving():
    """Serve HTTP in a block: `serving(answer)` gives its address, and a list of the calls that it got.

    `answer(call)` returns status and content, or None to hang up.
    """
    return _serving


@dataclass(frozen=True)
class TlsServer:
    """A server that speaks TLS and passes on what it hears: its port, and the file with who vouches for it."""

    port: int
    authority: Path


@pytest.fixture
def tls_before(tmp_path):
    """Put a TLS server before a port of this machine in a block: `with tls_before(port) as server`."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])

    @contextlib.contextmanager
    def before(port):
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Passing) as server:
            server.context, server.target, server.daemon_threads = context, port, True
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield TlsServer(server.server_address[1], tmp_path / "authority.pem")
            finally:
                server.shutdown()
                thread.join()

    return before


class _Passing(socketserver.BaseRequestHandler):
    def handle(self):
        with (
            contextlib.suppress(OSError),
            self.server.context.wrap_socket(self.request, server_side=True) as outside,
            socket.create_connection(("127.0.0.1", self.server.target)) as inside,
        ):
            back = threading.Thread(target=self._pass_on, args=(inside, outside))
            back.start()
            self._pass_on(outside, inside)
            back.join()

    @staticmethod
    def _pass_on(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
