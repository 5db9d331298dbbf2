"""The command lines of spark-submit and of what ends an application."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.submit_masters import SubmitConfig
from wheelrun.runtime.java import Spark, find_spark
from wheelrun.runtime.session import write_conf_dir
from wheelrun.runtime.submit_output import last_words

_KILL_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A spark-submit.

    Attributes:
        path: The program.
        spark: The Spark that it belongs to; None where it is a wrapper around one that is elsewhere.
    """

    path: str
    spark: Spark | None


def find_program(command: str | None, environ: Mapping[str, str]) -> Program:
    """Return the spark-submit to start.

    Args:
        command: A path, or a name on PATH; None for the one of SPARK_HOME or of the pyspark package.
        environ: The environment that it will have.

    Raises:
        ConfigurationError: there is none.
    """
    if command is None:
        own = find_spark(environ)
        path = own.home / "bin" / "spark-submit"
        if not os.access(path, os.X_OK):
            raise ConfigurationError(f"{path} cannot be run", hint="set submit_command, or install Spark again")
        return Program(path=str(path), spark=own)
    found = shutil.which(os.path.expanduser(command), path=environ.get("PATH", ""))  # noqa: PTH111 - it may be a name
    if found is None:
        raise ConfigurationError(
            f"submit_command {command!r} is not a program", hint="give the path of spark-submit, or put it on PATH"
        )
    home = Path(found).resolve().parent.parent
    spark = find_spark({"SPARK_HOME": str(home)}) if any((home / "jars").glob("spark-core_*.jar")) else None
    return Program(path=str(Path(found).absolute()), spark=spark)


def arguments(
    program: str, config: SubmitConfig, *, settings: str, code: Sequence[str], entry: str, ticket: str
) -> tuple[str, ...]:
    """Return the command that submits a driver.

    Args:
        program: spark-submit.
        config: The target's keys.
        settings: The properties file, which holds all Spark settings.
        code: Archives that go to executors by `--py-files`.
        entry: The driver's first file.
        ticket: Its argument.
    """
    options: tuple[tuple[str, str | None], ...] = (
        ("--master", config.master),
        ("--deploy-mode", config.deploy_mode),
        ("--properties-file", settings),
        ("--packages", ",".join(config.packages)),
        ("--jars", ",".join(config.jars)),
        ("--files", ",".join(config.files)),
        ("--py-files", ",".join(code)),
        ("--queue", config.queue),
        ("--proxy-user", config.proxy_user),
        ("--principal", config.principal),
        ("--keytab", str(config.keytab) if config.keytab else None),
    )
    words = [word for option, value in options if value for word in (option, value)]
    return (program, *words, entry, ticket)


def kill_command(kind: str, id: str, *, program: str, master: str, yarn: str | None) -> tuple[str, ...]:  # noqa: A002
    """Return the command that ends an application on a cluster.

    Args:
        kind: The kind of master: "yarn" or "kubernetes".
        id: The application's id, or `namespace:pod`.
        program: spark-submit.
        master: The master.
        yarn: YARN's own program; None if it is not here.

    Raises:
        ConfigurationError: nothing here can end it.
    """
    if kind == "kubernetes":
        return (program, "--kill", id, "--master", master)
    if yarn is None:
        raise ConfigurationError(
            f"{id} cannot be ended from here: `yarn` is not on PATH, and spark-submit ends nothing on YARN",
            hint=f"where YARN's programs are: yarn application -kill {id}",
        )
    return (yarn, "application", "-kill", id)


def run_kill(
    command: Sequence[str],
    environ: Mapping[str, str],
    conf: Mapping[str, str],
    *,
    inherited: Path | None,
    defaults: Path | None,
) -> str | None:
    """Run the command that ends an application; return what went wrong, None if nothing did.

    Args:
        command: What `kill_command` gave.
        environ: Its environment.
        conf: Spark settings; they are not on its command line.
        inherited: The folder with the settings that it would have without.
        defaults: A properties file that stands in the place of those.
    """
    with tempfile.TemporaryDirectory(prefix="wheelrun-") as folder:
        settings = write_conf_dir(Path(folder) / "conf", conf, inherited=inherited, defaults=defaults)
        try:
            result = subprocess.run(
                command,
                env={**environ, "SPARK_CONF_DIR": str(settings)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_KILL_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    return last_words(result.stderr, result.stdout) if result.returncode else None
