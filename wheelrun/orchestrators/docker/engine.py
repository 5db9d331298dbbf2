"""The Docker engine of this machine: where it is, and what it says when something goes wrong."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wheelrun.errors import ClusterError, ConfigurationError

if TYPE_CHECKING:
    import docker

TIMEOUT = 60.0
"""Seconds for the engine to answer; what takes long by its nature (a build, a pull) answers bit by bit."""

START = "start it (systemctl start docker, or Docker Desktop), or set DOCKER_HOST to where it listens"
_DEFAULT = "/var/run/docker.sock"
_DEFAULT_CONTEXT = "default"
_MAY_NOT = "become one of those who may use it: sudo usermod -aG docker $USER, and log in again"
_PORT = 2375
_NO_ANSWER = "Error while fetching server API version"


class EngineLostError(ClusterError):
    """The engine does not answer: it is down, or went down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Where an engine listens.

    Attributes:
        url: Its address.
        source: Who says so.
        tls: The files of a TLS connection: "ca", "cert", "key"; and "verify" if the server's name counts.
    """

    url: str
    source: str
    tls: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)

    @contextlib.contextmanager
    def connect(self, *, timeout: float = TIMEOUT) -> Iterator[docker.DockerClient]:
        """Connect to it for the length of a block; what goes wrong with the engine there is a `ClusterError`.

        Args:
            timeout: Seconds for an answer.

        Raises:
            ConfigurationError: the SDK is not installed, or the engine is on another machine.
            EngineLostError: it does not answer.
            ClusterError: it refuses something.
        """
        self.refuse_remote()
        sdk = load_sdk()
        tls: Any = False
        if self.tls:
            tls = sdk.tls.TLSConfig(
                client_cert=(self.tls["cert"], self.tls["key"]) if "cert" in self.tls else None,
                ca_cert=self.tls.get("ca"),
                verify=bool(self.tls.get("verify")),
            )
        self._knock(timeout)
        with self._told():
            client = sdk.DockerClient(base_url=self.url, version="auto", timeout=timeout, tls=tls)
            try:
                yield client
            finally:
                client.close()

    def refuse_remote(self) -> None:
        """Refuse an engine on another machine: it cannot mount this one's folders.

        Raises:
            ConfigurationError: it is one.
        """
        parts = urlsplit(self.url)
        if parts.scheme in ("unix", "http+unix") or (parts.scheme in ("tcp", "http", "https") and _is_loopback(parts)):
            return
        raise ConfigurationError(
            f"the Docker engine at {self.url} (from {self.source}) is on another machine: it cannot mount this one's"
            " folders",
            hint="submit on that machine, or set DOCKER_HOST to this one's engine",
        )

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the SDK's errors into ours."""
        import docker
        import requests

        try:
            yield
        except docker.errors.APIError as error:
            raise ClusterError(f"the Docker engine refused: {words_of(error)}") from error
        except requests.RequestException as error:
            raise self._lost(error) from error
        except docker.errors.DockerException as error:
            if str(error).startswith(_NO_ANSWER):
                raise self._lost(error) from error
            raise ConfigurationError(f"the Docker SDK refuses: {words_of(error)}") from error

    def _knock(self, timeout: float) -> None:
        """See whether anybody listens: the SDK would not say why not, and leave a socket open."""
        parts = urlsplit(self.url)
        try:
            if parts.hostname:
                socket.create_connection((parts.hostname, parts.port or _PORT), timeout).close()
                return
            with socket.socket(socket.AF_UNIX) as knocking:
                knocking.settimeout(timeout)
                knocking.connect("/" + self.url.partition("://")[2].lstrip("/"))
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> EngineLostError:
        message = f"no Docker engine answers at {self.url} (from {self.source}): {_reason(error)}"
        return EngineLostError(message, hint=_MAY_NOT if isinstance(error, PermissionError) else START)


def find_engine(environ: Mapping[str, str], *, exists: Any = os.path.exists) -> Engine:
    """Return the engine that the docker command would talk to; where there is none, Podman's socket.

    Args:
        environ: The environment: DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CONFIG and the like.
        exists: Tells whether there is a file.

    Raises:
        ConfigurationError: a context is named that is not there.
    """
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/"), ".docker"))
    host, context = environ.get("DOCKER_HOST"), environ.get("DOCKER_CONTEXT")
    if not context and not host:
        context = _current_context(folder)
    if context and context != _DEFAULT_CONTEXT:
        return _of_context(folder, context)
    if host:
        return Engine(url=host, source="DOCKER_HOST", tls=_tls_from(environ))
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    for path in (_DEFAULT, f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock", "/run/podman/podman.sock"):
        if exists(path):
            return Engine(url=f"unix://{path}", source="its usual place")
    return Engine(url=f"unix://{_DEFAULT}", source="its usual place")


def owner() -> str:
    """Return who this is to an engine that several users, and machines, may share."""
    return f"{socket.gethostname()}:{os.getuid()}"


def words_of(error: Exception) -> str:
    """Return what the engine said, in one line."""
    text = getattr(error, "explanation", None) or str(error)
    return " ".join(str(text).split())


def load_sdk() -> Any:
    """Import the SDK.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import docker
    except ImportError as error:
        raise ConfigurationError("the Docker SDK is not installed", hint="pip install 'wheelrun[docker]'") from error
    return docker


def _tls_from(environ: Mapping[str, str]) -> dict[str, str]:
    if not environ.get("DOCKER_TLS_VERIFY") and not environ.get("DOCKER_CERT_PATH"):
        return {}
    folder = Path(environ.get("DOCKER_CERT_PATH") or Path(environ.get("HOME", "/"), ".docker"))
    return {**_tls_files(folder), **({"verify": "1"} if environ.get("DOCKER_TLS_VERIFY") else {})}


def _tls_files(folder: Path) -> dict[str, str]:
    places = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    return {name: str(path) for name, path in places.items() if path.is_file()}


def _current_context(folder: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        table = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return table.get("currentContext") or None
    return None


def _of_context(folder: Path, name: str) -> Engine:
    place = hashlib.sha256(name.encode()).hexdigest()
    try:
        table = json.loads((folder / "contexts" / "meta" / place / "meta.json").read_text(encoding="utf-8"))
        endpoint = table["Endpoints"]["docker"]
        url = endpoint["Host"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"the Docker context {name!r} cannot be read: {getattr(error, 'strerror', None) or error}",
            hint="docker context ls shows those that are there, docker context use chooses one",
        ) from error
    tls = _tls_files(folder / "contexts" / "tls" / place / "docker")
    if tls and not endpoint.get("SkipTLSVerify"):
        tls["verify"] = "1"
    return Engine(url=url, source=f"the Docker context {name!r}", tls=tls)


def _is_loopback(parts: Any) -> bool:
    try:
        return parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return "it took too long" if "timed out" in text else " ".join(text.split())
