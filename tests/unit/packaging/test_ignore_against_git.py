"""The ignore rules and `git check-ignore` agree on random ignore files."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from wheelrun.packaging.ignore import IgnoreRules

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is the oracle")

_NAMES = ("a", "b", "ab", "a.b", "foo", "[x]", "a b", "é", "a-b", "foo ", "a\\b")
#: Where ignore files stand in the examples.
_PLACES = (".gitignore", "a/.gitignore", "a/c/.gitignore", "foo/c/.gitignore", ".git/info/exclude")

_ATOMS = st.sampled_from(
    (
        *("a", "b", "ab", "foo", "c", "o", "é", "-", "#", ".", " "),
        *("*", "**", "***", "?", "/", "**/", "/**/", "\\*", "\\", "\\[", "\\ "),
        *("[ab]", "[!a]", "[^a]", "[a-c]", "[]-a]", "[\\]]", "[^/]", "[", "]", "[a-"),
        *("[[:alpha:]]", "[[:punct:]]", "[[:nothing:]]", "[[:"),
    )
)
_LINES = st.builds(
    lambda negation, atoms, slash: negation + "".join(atoms) + slash,
    st.sampled_from(["", "", "", "!"]),
    st.lists(_ATOMS, min_size=1, max_size=5),
    st.sampled_from(["", "", "/"]),
)
_FILES = st.builds("\n".join, st.lists(_LINES, min_size=1, max_size=4))
_LAYOUTS = st.dictionaries(st.sampled_from(_PLACES), _FILES, min_size=1, max_size=3)


class Repository:
    """One git repository whose ignore files are written anew for each example."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "XDG_CONFIG_HOME": str(root),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        subprocess.run(["git", "init", "-q", str(root)], check=True, env=self._env)
        self.paths = [f"{top}/{name}" for top in _NAMES for name in _NAMES]
        self.paths += [f"{top}/c/{name}" for top in _NAMES for name in _NAMES]
        for path in self.paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()

    def write(self, files: Mapping[str, str]) -> None:
        for place in _PLACES:
            path = self.root / place
            if place in files:
                path.write_text(files[place], encoding="utf-8")
            else:
                path.unlink(missing_ok=True)

    def ignored(self) -> set[str]:
        done = subprocess.run(
            ["git", "-C", str(self.root), "check-ignore", "--no-index", "-z", "--stdin"],
            input="\0".join(self.paths).encode(),
            capture_output=True,
            env=self._env,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        return set(done.stdout.decode().split("\0")) - {""}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("repository"))


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(files={".gitignore": "*\n!*/\n!a.b\n"})
@example(files={".gitignore": "/*\n!/foo\n/foo/*\n!/foo/c\n"})
@example(files={".gitignore": "a/\n", "a/.gitignore": "!*\n"})
@example(files={".gitignore": "*.b\n", "a/.gitignore": "!a.b\n/b\n", "a/c/.gitignore": "*\n"})
@example(files={".git/info/exclude": "foo\n", ".gitignore": "!foo\n"})
@example(files={".gitignore": "foo**/ab\n"})
@example(files={".gitignore": "c/**/\n"})
@given(files=_LAYOUTS)
def test_agrees_with_git(repository: Repository, files: Mapping[str, str]) -> None:
    repository.write(files)
    rules = IgnoreRules(repository.root)
    ours = {path for path in repository.paths if rules.match(path, is_dir=False)}
    assert ours == repository.ignored()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=_LAYOUTS)
def test_a_project_below_the_top_of_its_repository_agrees_with_git(
    repository: Repository, files: Mapping[str, str]
) -> None:
    repository.write(files)
    ignored = repository.ignored()
    if IgnoreRules(repository.root).match("a", is_dir=True):
        return  # the whole project is ignored: its own rules alone count, which git has no word for
    rules = IgnoreRules(repository.root / "a")
    below = [path for path in repository.paths if path.startswith("a/")]
    assert {path for path in below if rules.match(path[2:], is_dir=False)} == ignored.intersection(below)
