from __future__ import annotations

import hashlib
import json

import pytest

from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.docker.engine import Engine, EngineLostError, find_engine


def nothing(_path):
    return False


def write_context(folder, name, endpoint, tls=()):
    place = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / place
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": endpoint}}))
    files = folder / "contexts" / "tls" / place / "docker"
    for file in tls:
        files.mkdir(parents=True, exist_ok=True)
        (files / file).touch()
    return files


def test_a_variables_context_goes_before_docker_host_and_that_before_a_chosen_one(tmp_path):
    write_context(tmp_path, "named", {"Host": "unix:///named.sock"})
    write_context(tmp_path, "chosen", {"Host": "unix:///chosen.sock"})
    (tmp_path / "config.json").write_text('{"currentContext": "chosen"}')
    environ = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_HOST": "unix:///host.sock", "DOCKER_CONTEXT": "named"}
    assert find_engine(environ, exists=nothing).url == "unix:///named.sock"
    environ["DOCKER_CONTEXT"] = "default"
    assert find_engine(environ, exists=nothing) == Engine(url="unix:///host.sock", source="DOCKER_HOST")
    del environ["DOCKER_CONTEXT"]
    assert find_engine(environ, exists=nothing).url == "unix:///host.sock"


def test_docker_host_with_tls(tmp_path):
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    environ = {"DOCKER_HOST": "tcp://127.0.0.1:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    engine = find_engine(environ, exists=nothing)
    assert engine.tls == {
        "ca": f"{tmp_path}/ca.pem",
        "cert": f"{tmp_path}/cert.pem",
        "key": f"{tmp_path}/key.pem",
        "verify": "1",
    }


@pytest.mark.parametrize("said", ["variable", "file"])
def test_the_context_that_is_chosen(tmp_path, said):
    files = write_context(tmp_path, "mine", {"Host": "unix:///mine.sock"}, tls=["ca.pem"])
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    if said == "variable":
        environ["DOCKER_CONTEXT"] = "mine"
    else:
        (tmp_path / "config.json").write_text('{"currentContext": "mine"}')
    engine = find_engine(environ, exists=nothing)
    assert (engine.url, engine.source) == ("unix:///mine.sock", "the Docker context 'mine'")
    assert engine.tls == {"ca": str(files / "ca.pem"), "verify": "1"}


def test_a_context_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="the Docker context 'gone' cannot be read") as error:
        find_engine({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "gone"}, exists=nothing)
    assert "docker context ls" in error.value.hint


@pytest.mark.parametrize(
    "there",
    ["/var/run/docker.sock", "/run/me/docker.sock", "/run/me/podman/podman.sock", "/run/podman/podman.sock"],
)
def test_the_usual_sockets_podmans_too(tmp_path, there):
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/me", "DOCKER_CONTEXT": "default"}
    assert find_engine(environ, exists=lambda path: path == there).url == f"unix://{there}"


def test_where_none_is_dockers_own_is_named(tmp_path):
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text("not JSON")
    assert find_engine({"HOME": str(tmp_path)}, exists=nothing).url == "unix:///var/run/docker.sock"


@pytest.mark.parametrize("url", ["unix:///x", "tcp://localhost:1", "tcp://127.0.0.2:1", "http://[::1]:1"])
def test_an_engine_of_this_machine_is_taken(url):
    Engine(url=url, source="a test").refuse_remote()


@pytest.mark.parametrize(
    "url", ["tcp://build.example:2376", "ssh://me@build", "tcp://10.0.0.1:1", "npipe:////./pipe/x"]
)
def test_one_of_another_machine_is_refused(url):
    with pytest.raises(ConfigurationError, match="is on another machine"):
        Engine(url=url, source="a test").refuse_remote()


def test_an_engine_that_is_down_is_told_with_the_remedy(tmp_path):
    with (
        pytest.raises(EngineLostError, match=r"no Docker engine answers at .*: No such file") as error,
        Engine(url=f"unix://{tmp_path}/none.sock", source="a test").connect(),
    ):
        pass
    assert "systemctl start docker" in error.value.hint
