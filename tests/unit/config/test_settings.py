from __future__ import annotations

from pathlib import Path

import pytest

from wheelrun.config import PackageTable, Settings, load_settings
from wheelrun.errors import ConfigurationError


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"WHEELRUN_HOME": str(tmp_path / "home")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "repo").mkdir()
    return tmp_path / "repo"


def load(root: Path, text: str, environ: dict[str, str], name: str = "wheelrun.toml") -> Settings:
    (root / name).write_text(text, encoding="utf-8")
    return load_settings(root, environ)


def user(environ: dict[str, str], text: str) -> Path:
    file = Path(environ["WHEELRUN_HOME"]) / "config" / "wheelrun.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_a_project_without_configuration(root, environ):
    settings = load_settings(root, environ)

    assert settings.target == "local"
    assert settings.package == PackageTable()
    assert list(settings.targets) == ["local"]
    assert settings.source is None


FULL = """
target = "prod"

[package]
also = ["../libs/common"]
include = ["data"]
max_size = "50MB"
build_timeout = "2m"
allow_secrets = ["tests/*"]

[defaults]
timeout = "1h"
conf = { "spark.sql.shuffle.partitions" = 8 }

[targets.prod]
orchestrator = "somewhere"
artifact_root = "dbfs:/tmp/x"
timeout = 90
own_key = [1, 2]
environment = { A = "x", N = 1, B = true }
[targets.prod.conf]
spark.executor.memory = "4g"
"spark.executor.cores" = 2
"""


def test_reads_everything(root, environ):
    settings = load(root, FULL, environ)

    assert settings.source == root / "wheelrun.toml"
    assert settings.target == "prod"
    assert settings.package == PackageTable(
        also=("../libs/common",), include=("data",), max_size=50_000_000, build_timeout=120, allow_secrets=("tests/*",)
    )
    prod = settings.targets["prod"]
    assert (prod.orchestrator, prod.artifact_root, prod.timeout) == ("somewhere", "dbfs:/tmp/x", 90)
    assert prod.environment == {"A": "x", "N": "1", "B": "true"}
    assert prod.conf == {"spark.executor.memory": "4g", "spark.executor.cores": "2"}
    assert prod.config == {"own_key": [1, 2]}
    assert settings.defaults.timeout == 3600
    assert settings.defaults.conf == {"spark.sql.shuffle.partitions": "8"}
    assert set(settings.targets) == {"local", "prod"}


def test_the_tool_table_of_pyproject(root, environ):
    text = '[project]\nname = "x"\n[tool.wheelrun]\ntarget = "a"\n[tool.wheelrun.targets.a]\norchestrator = "o"\n'

    settings = load(root, text, environ, "pyproject.toml")

    assert settings.source == root / "pyproject.toml"
    assert settings.targets["a"].where == "pyproject.toml [tool.wheelrun] [targets.a]"


def test_wheelrun_toml_stands_before_pyproject(root, environ):
    (root / "pyproject.toml").write_text('[tool.wheelrun]\ntarget = "a"\n')

    assert load(root, 'target = "b"', environ).target == "b"


def test_a_pyproject_of_others(root, environ):
    assert load(root, "[tool.ruff]\nline-length = 100\n", environ, "pyproject.toml").source is None
    assert load(root, "tool = 3\n", environ, "pyproject.toml").source is None


def test_a_byte_order_mark_is_read_over(root, environ):
    assert load(root, '\ufefftarget = "b"', environ).target == "b"


def test_the_users_targets_lie_below_the_projects(root, environ):
    theirs = """
        target = "u"
        [targets.p]
        orchestrator = "old"
        profile = "me"
        conf = {a = "1", b = "1"}
        [targets.u]
        orchestrator = "o"
    """
    user(environ, theirs)

    settings = load(root, '[targets.p]\norchestrator = "new"\nconf = {b = "2"}\n', environ)

    assert settings.target == "u"
    assert settings.targets["p"].orchestrator == "new"
    assert settings.targets["p"].config == {"profile": "me"}
    assert settings.targets["p"].conf == {"a": "1", "b": "2"}
    assert set(settings.targets) == {"local", "p", "u"}
    assert load(root, 'target = "p"\n', environ).target == "p"


def test_a_relative_artifact_root_is_below_its_own_file(root, environ):
    file = user(environ, '[targets.u]\nartifact_root = "mine"\n')

    targets = load(root, '[targets.p]\nartifact_root = "out"\n[targets.h]\nartifact_root = "~/x"\n', environ).targets

    assert targets["u"].artifact_root == str(file.parent / "mine")
    assert targets["p"].artifact_root == str(root / "out")
    assert targets["h"].artifact_root == str(Path.home() / "x")


@pytest.mark.parametrize("uri", ["s3://bucket/x", "dbfs:/x", "abfss://c@a.dfs.core.windows.net/x", "hdfs:///x"])
def test_a_uri_stays(uri, root, environ):
    assert load(root, f'[defaults]\nartifact_root = "{uri}"\n', environ).defaults.artifact_root == uri


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('targt = "x"', "wheelrun.toml: unknown key 'targt'; did you mean 'target'?", "known keys: defaults, package"),
        (
            "[package]\nmaxsize = 3",
            "wheelrun.toml [package]: unknown key 'maxsize'; did you mean 'max_size'?",
            "allow_secrets",
        ),
        ("[package]\nallow-secrets = []", "did you mean 'allow_secrets'?", "known keys"),
        ("target = 3", "wheelrun.toml: target = 3 is not a text", None),
        ("target = ' '", "target = ' ' is not a text", None),
        ("[package]\nalso = 'x'", "[package]: also = 'x' is not a list of texts", None),
        ("[package]\ninclude = [1]", "include = a list is not a list of texts", None),
        ("[package]\nmax_size = 'big'", "max_size = 'big' is not a size such as", None),
        ("[package]\nbuild_timeout = 'long'", "build_timeout = 'long' is not a duration such as", None),
        ("package = 3", "package = 3 is not a table", None),
        ("targets = 3", "targets = 3 is not a table of tables", None),
        ("[targets]\nx = 3", "targets = a table is not a table of tables", None),
        ("[targets.x]\ntimeout = -1", "wheelrun.toml [targets.x]: timeout = -1 is not a duration", None),
        ("[targets.x]\nconf = {a = [1]}", "[targets.x]: conf = a table is not a table of texts, numbers", None),
        ("[targets.x]\nenvironment = {a.b = 1}", "environment = a table is not a table of texts, numbers", None),
        ("[defaults]\nartifact_root = ''", "[defaults]: artifact_root = '' is not a text", None),
    ],
)
def test_what_is_refused(text, message, hint, root, environ):
    with pytest.raises(ConfigurationError) as caught:
        load(root, text, environ)
    assert message in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["wheelrun.toml", "pyproject.toml"])
def test_invalid_toml_names_file_and_line(name, root, environ):
    with pytest.raises(ConfigurationError, match=rf"{name}:3: invalid TOML: \w") as caught:
        load(root, "[a]\nb = 1\nc = = 2\n", environ, name)
    assert "(at line" not in caught.value.message


def test_toml_that_ends_too_early(root, environ):
    with pytest.raises(ConfigurationError, match=r"wheelrun\.toml.*invalid TOML"):
        load(root, "a = [1,", environ)


def test_what_is_not_utf_8_names_the_line(root, environ):
    (root / "wheelrun.toml").write_bytes(b"# ok\n# \xff\n")

    with pytest.raises(ConfigurationError, match=r"wheelrun\.toml:2: not UTF-8"):
        load_settings(root, environ)


def test_an_unreadable_file(root, environ, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    (root / "wheelrun.toml").write_text("")
    monkeypatch.setattr(Path, "read_bytes", refuse)

    with pytest.raises(ConfigurationError, match=r"wheelrun\.toml cannot be read: Permission denied"):
        load_settings(root, environ)


def test_the_users_file_is_named_too(root, environ):
    file = user(environ, "[package]\nalso = []\n")

    with pytest.raises(ConfigurationError) as caught:
        load_settings(root, environ)
    assert caught.value.message.startswith(f"{file}: unknown key 'package'")


def test_a_tool_table_that_is_none(root, environ):
    with pytest.raises(ConfigurationError, match="is not a table"):
        load(root, "[tool]\nwheelrun = 3\n", environ, "pyproject.toml")
