"""Libraries, really installed by uv from the workspace, volumes, DBFS and an index."""

from __future__ import annotations

import threading
from importlib import metadata

import pytest

TWO = "def main():\n    print('two')\n"
IMPORTS = "import importlib.metadata as m\nprint(m.version('{}'))\n"


@pytest.mark.parametrize("place", ["/Workspace/{}", "/Volumes/{}", "dbfs:/{}", "/dbfs/{}"])
def test_a_wheel_by_its_path(bench, place):
    folder = {"/Wo": bench.state.workspace, "/Vo": bench.state.volumes}.get(place[:3], bench.state.dbfs)
    name = bench.write(folder).name
    assert bench.hello(bench.cluster(), {"whl": place.format(name)}).result == "SUCCESS"


def test_an_existing_cluster_does_not_look_at_a_path_again(bench):
    cluster = bench.existing()
    library = bench.wheel()
    bench.hello(cluster, library)
    assert bench.said() == "hello\n"
    bench.wheel(TWO)
    bench.hello(cluster, library)
    assert bench.said() == "hello\n", "the wheel that it has seen by this name"
    bench.compute.restart(cluster)
    bench.until(cluster, "RUNNING")
    bench.hello(cluster, library)
    assert bench.said() == "two\n"


def test_another_version_by_another_path(bench):
    cluster = bench.existing()
    bench.hello(cluster, bench.wheel())
    bench.hello(cluster, bench.wheel(TWO, version="2.0"))
    assert bench.said() == "two\n"


def test_what_one_job_installed_another_has_not(bench):
    bench.hello(bench.cluster(), bench.wheel())
    outcome = bench.hello(bench.cluster())
    assert (outcome.result, outcome.error) == ("FAILED", "ModuleNotFoundError: No module named 'hello'")


def test_a_wheel_asks_for_what_is_there_already(bench, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    library = bench.wheel(metadata="Requires-Dist: pyspark>=3.5\nRequires-Dist: py4j\n")
    assert bench.hello(bench.cluster(), library).result == "SUCCESS"


def test_a_library_stands_before_what_is_there_already(bench):
    library = bench.wheel("version = 'mine'\n", name="py4j", version="99.0")
    code = "import py4j, importlib.metadata as m\nprint(py4j.version, m.version('py4j'))\n"
    assert bench.run(bench.cluster(), code, libraries=[library]).result == "SUCCESS"
    assert bench.said() == "mine 99.0\n"


def test_what_is_installed_here_is_left_alone(bench):
    bench.run(bench.cluster(), "", libraries=[bench.wheel("", name="py4j", version="99.0")])
    files = [file.locate() for file in metadata.files("py4j") if file.suffix == ".py"]
    assert files
    assert all(file.exists() for file in files)


def test_packages_of_an_index(bench, tmp_path, monkeypatch):
    bench.write(tmp_path, name="indexed", version="3.0")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_OFFLINE", "1")
    library = {"pypi": {"package": "indexed>=2"}}
    assert bench.run(bench.cluster(), IMPORTS.format("indexed"), libraries=[library]).result == "SUCCESS"
    assert bench.said() == "3.0\n"


def test_a_package_of_an_index_of_its_own(bench, tmp_path):
    folder = tmp_path / "simple" / "indexed"
    folder.mkdir(parents=True)
    wheel = bench.write(folder, name="indexed", version="3.0").name
    (folder / "index.html").write_text(f'<a href="{wheel}">{wheel}</a>')
    library = {"pypi": {"package": "indexed", "repo": (tmp_path / "simple").as_uri()}}
    assert bench.run(bench.cluster(), IMPORTS.format("indexed"), libraries=[library]).result == "SUCCESS"


@pytest.mark.parametrize("path", ["/Workspace/{}", "dbfs:/Volumes/{}"])
def test_requirements(bench, path):
    bench.write(bench.state.workspace)
    bench.write(bench.state.volumes)
    file = bench.state.workspace / "requirements.txt"
    file.write_text(f"# ours\n{path.format('hello-1.0-py3-none-any.whl')}\n")
    assert bench.hello(bench.cluster(), {"requirements": "/Workspace/requirements.txt"}).result == "SUCCESS"


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ({"whl": "/Workspace/none.whl"}, "Library file does not exist: /Workspace/none.whl"),
        ({"whl": "/elsewhere/a.whl"}, "/elsewhere/a.whl is not a path in /Workspace"),
        ({"pypi": {"package": "not-there"}}, "not-there"),
        ({"maven": {"coordinates": "a:b:1"}}, "'maven' is none of them"),
    ],
)
def test_a_library_that_cannot_be_installed(bench, monkeypatch, library, words):
    monkeypatch.setenv("UV_OFFLINE", "1")
    outcome = bench.hello(bench.cluster(), library)
    assert (outcome.result, outcome.code) == ("INTERNAL_ERROR", "LIBRARY_INSTALLATION_ERROR")
    assert "Library installation failed for library due to user error for" in outcome.message
    assert words in outcome.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tag": "cp27-cp27mu-manylinux1_x86_64"}, "Python"),
        ({"tag": "py3-none-win_amd64"}, "win"),
        ({"metadata": "Requires-Python: >=4\n"}, "Python>=4"),
        ({"metadata": "Requires-Dist: not-there\n"}, "not-there"),
    ],
)
def test_a_wheel_that_does_not_fit(bench, monkeypatch, options, words):
    monkeypatch.setenv("UV_OFFLINE", "1")
    library = bench.wheel(**options)
    outcome = bench.hello(bench.cluster(), library)
    assert outcome.code == "LIBRARY_INSTALLATION_ERROR"
    assert words in outcome.message
    assert library["whl"] in outcome.message, "the path that the user knows"
    assert str(bench.state.folder) not in outcome.message


def test_a_library_that_failed_is_tried_again(bench):
    cluster = bench.cluster()
    library = {"whl": "/Workspace/hello-1.0-py3-none-any.whl"}
    assert bench.hello(cluster, library).code == "LIBRARY_INSTALLATION_ERROR"
    bench.wheel()
    assert bench.hello(cluster, library).result == "SUCCESS"


def test_an_installation_that_is_stopped(bench, serving):
    asked, stop = threading.Event(), threading.Event()
    release = threading.Event()

    def answer(call):
        asked.set()
        release.wait()

    with serving(answer) as (host, _):
        thread = threading.Thread(target=lambda: (asked.wait(), stop.set()))
        thread.start()
        outcome = bench.hello(bench.cluster(), {"pypi": {"package": "slow", "repo": f"{host}/simple"}}, stop=stop)
        release.set()
        thread.join()
    assert outcome.result == "CANCELED"


def test_a_serverless_environment(bench, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    library = bench.wheel()
    spec = {"environment_version": "2", "dependencies": [library["whl"], "pyspark"]}
    cluster = bench.compute.serverless(spec, name="serverless")
    assert bench.hello(cluster).result == "SUCCESS"
    broken = bench.compute.serverless({"client": "1", "dependencies": ["not-there"]}, name="broken")
    outcome = bench.hello(broken)
    assert (outcome.result, outcome.code) == ("INTERNAL_ERROR", "LIBRARY_INSTALLATION_ERROR")
    assert "not-there" in outcome.message


def test_the_words_for_a_library_that_cannot_be_installed(bench, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    cluster = bench.cluster()
    outcome = bench.hello(
        cluster, {"pypi": {"package": "not-there==1", "repo": "https://user:hush@127.0.0.1:9/simple"}}
    )
    assert outcome.message.startswith(
        "Library installation failed for library due to user error for pypi {\n"
        '  package: "not-there==1"\n'
        '  repo: "https://****@127.0.0.1:9/simple"\n'
        "}\n"
        f" Error messages:\nLibrary installation attempted on the driver node of cluster {cluster} and failed. "
        "Error code: DRIVER_LIBRARY_INSTALLATION_FAILURE. Error message: "
    )
    assert "hush" not in outcome.message
