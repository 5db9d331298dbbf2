"""The pytest plugin: the fixtures `spark` and `wheelrun_local`, for the tests of projects that use wheelrun.

    def test_means(spark):
        days = spark.createDataFrame([("2015-01-01", 4.0), ("2015-01-02", 6.0)], ["day", "degrees"])
        assert mean(days) == 5.0

    def test_training(wheelrun_local):
        run = wheelrun_local("pipelines.train:training", {"rate": 0.1})
        assert run.result()["rows"] == 1461

pytest loads this module in every test run where wheelrun is installed, so it imports nothing but pytest; what the
fixtures need is imported when they are used.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from wheelrun.client import Client, Run

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
