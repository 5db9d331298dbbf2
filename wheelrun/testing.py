"""The pytest plugin: the fixtures `spark`, `wheelrun_local` and `databricks_emulator`, for the tests of projects.

    def test_means(spark):
        days = spark.createDataFrame([("2015-01-01", 4.0), ("2015-01-02", 6.0)], ["day", "degrees"])
        assert mean(days) == 5.0

    def test_training(wheelrun_local):
        run = wheelrun_local("pipelines.train:training", {"rate": 0.1})
        assert run.result()["rows"] == 1461

    def test_job(databricks_emulator):
        run = WorkspaceClient().jobs.submit(run_name="job", tasks=[...]).result()
        assert run.state.result_state is RunResultState.SUCCESS

pytest loads this module in every test run where wheelrun is installed, so it imports nothing but pytest; what the
fixtures need is imported when they are used.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from pyspark.sql import SparkSession

    from wheelrun.client import Client, Run
    from wheelrun.emulator.state import State

MASTER = "local[2]"
"""Spark's master in tests: two threads, so that what breaks between partitions breaks here."""

SMALL_CONF: Mapping[str, str] = {
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.log.level": "ERROR",
}
"""Spark configuration in tests: small, quiet, and nothing of it open to the network."""

_INHERITED = (
    "WHEELRUN_ARTIFACT_ROOT",
    "WHEELRUN_CACHE_DIR",
    "WHEELRUN_CONF",
    "WHEELRUN_CONFIG_DIR",
    "WHEELRUN_ENVIRONMENT",
    "WHEELRUN_TARGET",
    "WHEELRUN_TIMEOUT",
)
"""Variables that would make a test's run depend on who runs it."""

_LOG_LINES = 60


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A small and quiet local `SparkSession`, shared by the whole test session.

    Java is found as for a local run, so the machine need not have one. Skips if pyspark is not installed. A session
    that is already there (made by a fixture of the project's own, say) is taken as it is, and left running.
    """
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed: pip install 'wheelrun[spark]'")
    from pyspark.sql import SparkSession

    existing = SparkSession.getActiveSession()
    if existing is not None:
        yield existing
        return
    session = _start_session(tmp_path_factory.mktemp("spark"))
    yield session
    session.stop()


@pytest.fixture
def wheelrun_local(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalRuns]:
    """Submits to local in a temporary home: `wheelrun_local(entry, params)` waits for the end and returns the `Run`.

    The project is that of pytest's rootdir, unless `project=` names another. `WHEELRUN_HOME` is the temporary home
    while the test runs, so that the command line, started by the test, sees the same runs. What has not ended at the
    end of the test is cancelled.
    """
    home = tmp_path_factory.mktemp("wheelrun")
    for name in _INHERITED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WHEELRUN_HOME", str(home))
    runs = LocalRuns(home=home, project=request.config.rootpath, note=functools.partial(_note, request.node))
    yield runs
    runs.close()


@pytest.fixture
def databricks_emulator(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DatabricksEmulator]:
    """A Databricks workspace on this machine that really runs jobs: `host`, `token`, `client()`, faults on demand.

    Each test has a new one. While the test runs the variables `DATABRICKS_HOST` and `DATABRICKS_TOKEN` lead to it, so
    that `WorkspaceClient()` is a client of it. Skips if what it needs is not installed.
    """
    from wheelrun.emulator.standing import INSTALL, missing

    if names := missing():
        pytest.skip(f"the emulator needs {', '.join(names)}: {INSTALL}")
    from wheelrun.emulator.server import running

    folder = tmp_path_factory.mktemp("databricks")
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    with running(folder / "emulator") as state:
        monkeypatch.setenv("DATABRICKS_HOST", state.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", state.token)
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(folder / "databrickscfg"))
        yield DatabricksEmulator(state)


class DatabricksEmulator:
    """What the fixture `databricks_emulator` gives.

    Args:
        state: What the emulator remembers.

    Attributes:
        host: Its address.
        token: The token of its user.
        client_id: Its service principal's client id, for OAuth.
        client_secret: The service principal's secret.
    """

    def __init__(self, state: State) -> None:
        from wheelrun.emulator.identities import service_principal

        self.host = state.host
        self.token = state.token
        self.client_id, self.client_secret = service_principal(state)

    def client(self, **options: Any) -> WorkspaceClient:
        """Return the official client of it.

        Args:
            **options: Those of the client's `Config`, such as `retry_timeout_seconds`.
        """
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.core import Config

        return WorkspaceClient(config=Config(host=self.host, token=self.token, **options))

    def fault(
        self,
        path: str,
        *,
        method: str | None = None,
        status: int | str | None = None,
        delay_ms: int = 0,
        retry_after: int | None = None,
        count: int | None = 1,
        probability: float = 1.0,
        seed: int | None = None,
    ) -> None:
        """Let calls fail from now on.

        Args:
            path: The calls' path, as a shell pattern: "/api/2.?/jobs/*".
            method: Their HTTP method; None for all.
            status: The HTTP status that they are answered, and have no effect; or "drop-before" or "drop-after": the
                connection is cut before or after the effect; None if they are only late.
            delay_ms: How late they are, in ms.
            retry_after: What `Retry-After` says, in seconds.
            count: How often it happens; None for ever.
            probability: Of how many calls, from 0 to 1.
            seed: What the dice begin with.

        Raises:
            ValueError: that is no fault.
        """
        fault = {
            "path": path,
            "method": method,
            "status": status,
            "delay_ms": delay_ms,
            "retry_after": retry_after,
            "count": count,
            "probability": probability,
            "seed": seed,
        }
        self._do("POST", "/emulator/faults", fault)

    def clear_faults(self) -> None:
        """Let nothing fail any more."""
        self._do("DELETE", "/emulator/faults")

    def requests(self) -> list[dict[str, Any]]:
        """Return what was called: `method`, `path`, `status` (None where the connection was cut), `fault`, `at`."""
        return list(self._do("GET", "/emulator/requests")["requests"])

    def clear_requests(self) -> None:
        """Forget what was called."""
        self._do("DELETE", "/emulator/requests")

    def move_clock(self, seconds: float) -> None:
        """Set the clock forward, so that schedules fire."""
        self._do("POST", "/emulator/clock", {"seconds": seconds})

    def _do(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the address of the emulator
            self.host + path,
            data=None if fields is None else json.dumps(fields).encode(),
            headers={"Authorization": f"Bearer {self.token}"},
            method=method,
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(json.load(error)["message"]) from None


class LocalRuns:
    """What the fixture `wheelrun_local` gives: call it to submit.

    Args:
        home: The temporary home.
        project: The project's folder, where a call names no other.
        note: Called with each run that did not succeed.

    Attributes:
        home: The temporary home: runs, artifacts and built wheels are below it.
    """

    def __init__(self, *, home: Path, project: Path, note: Callable[[Run], None]) -> None:
        self.home = home
        self._project = project
        self._note = note
        self._clients: dict[Path, Client] = {}

    @property
    def client(self) -> Client:
        """The client of the project, with everything that it can do."""
        return self._client_of(self._project)

    def __call__(
        self,
        entry: str | Callable[..., Any],
        params: Mapping[str, Any] | None = None,
        *,
        project: Path | str | None = None,
        wait: bool = True,
        **options: Any,
    ) -> Run:
        """Submit an entry, wait for the run's end, and return it, whatever its state.

        Spark is small here (`local[2]`, two partitions after a shuffle) whatever the project's target says; what the
        call itself says counts.

        Args:
            entry: "module:callable", "module", "file.py", "file.py:callable", or a function, step or pipeline itself.
            params: Its parameters: typed values, or text.
            project: The project's folder, if it is not pytest's rootdir.
            wait: Whether to wait for the run's end.
            **options: Those of `Client.submit`: argv, env, conf, name, timeout, options, ...

        Raises:
            WheelrunError: it cannot be submitted.
        """
        client = self._client_of(self._project if project is None else Path(project))
        options.setdefault("target", "local")
        options["conf"] = {
            **SMALL_CONF,
            "spark.sql.warehouse.dir": str(self.home / "warehouse"),
            **(options.get("conf") or {}),
        }
        options["options"] = {
            "artifact_root": str(self.home / "artifacts"),
            "master": MASTER,
            **(options.get("options") or {}),
        }
        run = client.submit(entry, params, **options)
        if wait:
            run.wait(poll=0.05)
            if not run.state.is_success:
                self._note(run)
        return run

    def close(self) -> None:
        """Cancel what has not ended, and let go of the store."""
        try:
            if (self.home / "data" / "runs.sqlite").exists():
                for record in self.client.store.unfinished():
                    run = self.client.run(record.id)
                    if not run.status().state.is_terminal:
                        run.cancel()
        finally:
            for client in self._clients.values():
                client.store.close()

    def _client_of(self, project: Path) -> Client:
        from wheelrun.client import Client

        if project not in self._clients:
            self._clients[project] = Client(project)
        return self._clients[project]


def _start_session(folder: Path) -> SparkSession:
    """Start the session; what the JVM writes goes below `folder`."""
    from pyspark.sql import SparkSession

    from wheelrun.errors import ConfigurationError
    from wheelrun.runtime.java import find_java, java_environment

    try:
        java = java_environment(find_java(os.environ, cache=folder))
    except ConfigurationError as error:
        pytest.fail("\n".join(filter(None, [error.message, error.hint])), pytrace=False)
    builder = SparkSession.builder.master(MASTER).appName("tests")
    for key, value in {**SMALL_CONF, "spark.sql.warehouse.dir": (folder / "warehouse").as_uri()}.items():
        builder = builder.config(key, value)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**java, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}.items():
            patch.setenv(name, value)
        for name in ("SPARK_REMOTE", "SPARK_API_MODE"):  # they would make it a client of a server elsewhere
            patch.delenv(name, raising=False)
        session: SparkSession = builder.getOrCreate()
    return session


def _note(item: pytest.Item, run: Run) -> None:
    """Put what a run said into the test's report, where a failing test shows it."""
    lines = [f"{run.id} {run.state}"]
    if run.record.error is not None:
        lines += [run.record.error.message, run.record.error.traceback]
    lines += [line.text for line in run.logs()][-_LOG_LINES:]
    item.add_report_section("call", f"wheelrun {run.record.name}", "\n".join(lines))
