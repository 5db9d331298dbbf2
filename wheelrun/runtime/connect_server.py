"""A Connect server as its client sees it: whether it is there, what it says, and for how long it is tried."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wheelrun.errors import ClusterError
from wheelrun.runtime.imports import when_imported
from wheelrun.runtime.masking import MASK
from wheelrun.runtime.remote import REMOTE, SECRETS, TOKEN, Remote, read, with_parameters

NEEDED = {"grpc": "grpcio", "grpc_status": "grpcio-status", "google.protobuf": "protobuf", "pandas": "pandas",
          "pyarrow": "pyarrow"}  # fmt: skip
"""What pyspark's client imports -> the distribution that brings it."""

INSTALL = "pip install 'wheelrun[connect]', in the Python that runs the steps"

HURRY = 3.0
"""Seconds that a server has to answer where its silence is an answer too."""

ROOTS = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
"""The variable with the file of the certificates that gRPC trusts."""

_DETAILS = re.compile(r'\bdetails = "([^"]+)"')
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")


class Server:
    """The server that the environment names: `SPARK_REMOTE` is completed there by what pyspark takes from nowhere else.

    Raises:
        ConfigurationError: the address is none.
    """

    def __init__(self, environ: dict[str, str] | os._Environ[str]) -> None:
        self.remote = Remote.parse(environ[REMOTE])
        secrets = {**read(environ.pop(SECRETS, "")), **self.remote.secrets}
        if TOKEN in environ and not _knows_token():
            secrets["token"] = environ[TOKEN]
        environ[REMOTE] = with_parameters(self.remote.public, secrets)
        self._secret = [value for value in (environ.get(TOKEN), *secrets.values()) if value]
        self._proxied = is_proxied(environ)

    def reach(self) -> None:
        """Make sure that something listens there; pyspark would try for minutes.

        Raises:
            ClusterError: nothing does.
        """
        if not self._proxied:
            reach(self.remote)

    def refusal(self, error: BaseException) -> ClusterError:
        """Return the error for a session that the server did not give."""
        said = first_line(error)
        for value in self._secret:
            said = said.replace(value, MASK)
        hint = "is it a Connect server, and are address and token those of it?"
        if "CERTIFICATE_VERIFY_FAILED" in said:
            hint = f"is its certificate's authority in the file that {ROOTS} names?"
        elif "UNAVAILABLE" in said or "failed to connect" in said or "andshake" in said or "Socket closed" in said:
            hint += " With use_ssl=true, and with a token except to localhost, its client speaks TLS"
        return ClusterError(f"the Connect server at {self.remote.place} gives no session: {said}", hint=hint)


def is_proxied(environ: Mapping[str, str]) -> bool:
    """Whether a client may have to go through a proxy, so that what this machine can reach tells nothing."""
    return any(environ.get(name) or environ.get(name.upper()) for name in _PROXIES)


def reach(remote: Remote) -> None:
    """Make sure that something listens at an address.

    Raises:
        ClusterError: nothing does.
    """
    try:
        socket.create_connection((remote.host, remote.port), timeout=10).close()
    except OSError as error:
        raise ClusterError(
            f"no Connect server answers at {remote.place}: {error.strerror or error}",
            hint=f"start it, or name another: --remote sc://host:port; for a recorded run -e {REMOTE}=sc://host:port",
        ) from None


def make_importable() -> None:
    """Have pyspark's client be imported here as in a program.

    In a process that was started with `python -c`, as those of wheelrun are, it takes itself for its own doctest: it
    imports its test suite, which imports it in turn, and where something is missing it ends the process with success.
    """
    when_imported("pyspark.sql.connect.utils", _as_in_a_program)


def _as_in_a_program(module: Any) -> None:
    check, lock = module.check_dependencies, threading.RLock()

    @functools.wraps(check)
    def checked(*args: Any) -> None:
        main = sys.modules["__main__"]
        with lock:
            if hasattr(main, "__file__"):
                check(*args)
                return
            main.__file__ = "<wheelrun>"
            try:
                check(*args)
            finally:
                del main.__file__

    module.check_dependencies = checked


def missing() -> list[str]:
    """Return the distributions that pyspark's client needs and that this Python has not got."""

    def is_there(module: str) -> bool:
        try:
            return importlib.util.find_spec(module) is not None
        except ImportError:
            return False

    return [distribution for module, distribution in {"pyspark": "pyspark", **NEEDED}.items() if not is_there(module)]


@contextlib.contextmanager
def patience(client: Any, seconds: float, then: float | None = None) -> Iterator[None]:
    """Have a client try for some seconds to reach a server that is away, and then for `then`, or as long as before."""
    before, policy, take = _retries(client)
    take(policy(seconds))
    try:
        yield
    finally:
        take(before if then is None else policy(then))


def _retries(client: Any) -> tuple[Any, Callable[[float], Any], Callable[[Any], object]]:
    """Return a client's policy of retries, what makes one from seconds, and what gives it to the client."""
    if not hasattr(client, "set_retry_policies"):  # before pyspark 4 it is a table
        return dict(client._retry_policy), _waits, client._retry_policy.update  # noqa: SLF001
    from pyspark.sql.connect.client.retries import DefaultPolicy

    return client.get_retry_policies(), lambda seconds: [DefaultPolicy(**_waits(seconds))], client.set_retry_policies


def _waits(seconds: float) -> dict[str, int]:
    """Return how often and at which intervals (ms) a call is repeated, in pyspark's words, so that it takes so long."""
    waits, wait = [0.0], 50.0
    while sum(waits) < seconds * 1000:
        waits.append(wait)
        wait = min(wait * 4, 5000.0)
    return {"max_retries": len(waits) - 1, "initial_backoff": 50, "backoff_multiplier": 4, "max_backoff": 5000}


def answers(session: Any) -> bool:
    """Whether a server still has a session."""
    try:
        with patience(session.client, HURRY):
            session.conf.get("spark.sql.session.timeZone")
    except Exception:  # noqa: BLE001 - of whatever kind: nothing can be run there
        return False
    return True


def within(seconds: float, call: Callable[[], object]) -> bool:
    """Call something in a thread, and return whether it has come to its end in time."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def differs(version: str) -> str:
    """Return what is to be said of a server's version beside the client's; nothing if they fit."""
    import pyspark

    if version.split(".")[:2] == pyspark.__version__.split(".")[:2]:
        return ""
    return (
        f"the Connect server is Spark {version}, its client here is pyspark {pyspark.__version__}: "
        "what only one of them knows fails"
    )


def release(session: Any) -> None:
    """Release a session on its server, with all that runs in it."""
    with contextlib.suppress(Exception), patience(session.client, HURRY):  # the server may have gone
        if not hasattr(session.client, "release_session"):  # before pyspark 4, to stop one is to hang up
            session.interruptAll()
        session.stop()


def _knows_token() -> bool:
    """Whether pyspark takes the token from the environment: from 4.0 on."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError):
        return int(importlib.metadata.version("pyspark").partition(".")[0]) >= 4
    return True


def first_line(error: BaseException) -> str:
    """Return the first line of what an error of pyspark or gRPC says."""
    details = getattr(error, "details", None)
    text = str(details()) if callable(details) else str(error)
    if found := _DETAILS.search(text):  # pyspark passes on how gRPC shows the whole of its error
        text = found[1]
    lines = [line for line in text.strip().splitlines() if line.strip()] or [type(error).__name__]
    return lines[0][:500]
