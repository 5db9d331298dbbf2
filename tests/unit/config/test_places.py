from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wheelrun.config import cache_dir, data_dir, home, user_config_file
from wheelrun.errors import ConfigurationError


def test_home_holds_everything(tmp_path):
    environ = {"WHEELRUN_HOME": str(tmp_path / "home")}

    assert home(environ) == tmp_path / "home"
    assert data_dir(environ) == tmp_path / "home" / "data"
    assert cache_dir(environ) == tmp_path / "home" / "cache"
    assert user_config_file(environ) == tmp_path / "home" / "config" / "wheelrun.toml"


def test_folders_are_made_private(tmp_path):
    environ = {"WHEELRUN_HOME": str(tmp_path)}

    for folder in (data_dir(environ), cache_dir(environ)):
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700


def test_an_existing_folder_keeps_its_mode(tmp_path):
    (tmp_path / "data").mkdir(mode=0o755)

    assert data_dir({"WHEELRUN_HOME": str(tmp_path)}).stat().st_mode & 0o777 == 0o755


def test_the_cache_and_the_configuration_have_their_own_variables(tmp_path):
    environ = {
        "WHEELRUN_HOME": str(tmp_path / "home"),
        "WHEELRUN_CACHE_DIR": str(tmp_path / "cache"),
        "WHEELRUN_CONFIG_DIR": str(tmp_path / "conf"),
    }

    assert cache_dir(environ) == tmp_path / "cache"
    assert user_config_file(environ) == tmp_path / "conf" / "wheelrun.toml"
    assert data_dir(environ) == tmp_path / "home" / "data"


def test_a_relative_home_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert home({"WHEELRUN_HOME": "here"}) == tmp_path / "here"


def test_without_a_home_the_platform_decides(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))

    assert home({}) is None
    for folder in (data_dir({}), cache_dir({}), user_config_file({}).parent):
        assert tmp_path in folder.parents
        assert folder.name == "wheelrun"


def test_a_folder_that_cannot_be_made_names_the_variable(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="cannot be made") as caught:
        cache_dir({"WHEELRUN_CACHE_DIR": str(tmp_path / "file" / "below")})
    assert "WHEELRUN_CACHE_DIR" in (caught.value.hint or "")
    with pytest.raises(ConfigurationError) as caught:
        data_dir({"WHEELRUN_HOME": str(tmp_path / "file")})
    assert "WHEELRUN_HOME" in (caught.value.hint or "")


def test_nothing_heavy_is_imported(tmp_path):
    code = (
        "import sys, pathlib; from wheelrun.config import *;"
        f"environ = {{'WHEELRUN_HOME': {str(tmp_path)!r}}};"
        "home(environ); parse_duration('1m');"
        "assert not {'pydantic', 'platformdirs', 'tomllib', 'tomli'} & set(sys.modules), sys.modules.keys();"
        "resolve_stack(load_settings(pathlib.Path('.'), environ), environ=environ);"
        "assert not {'pydantic', 'platformdirs'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},  # it reads TOML
    )
    assert done.returncode == 0, done.stderr
