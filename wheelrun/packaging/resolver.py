"""uv, as wheelrun calls it: for another machine than this one, with the user's own configuration of indexes.

No address of an index and no credential is ever an argument: uv finds them in its own files and variables, and
works in the project's folder so that it finds those of the project. What it writes is shown in its own words,
credentials masked.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from wheelrun.errors import ConfigurationError, PackagingError
from wheelrun.packaging.backend import Completed, Runner, run_process
from wheelrun.packaging.declared import read_toml
from wheelrun.packaging.lock_files import LEFT_OUT, METADATA, REQUIREMENTS, UV_LOCK, Wanted
from wheelrun.packaging.platforms import Platform
from wheelrun.runtime.masking import MASK, is_secret

# What wheelrun says by arguments, or what is meant for another environment than a bundle.
_DROPPED = frozenset(
    {
        "FORCE_COLOR",
        "UV_BREAK_SYSTEM_PACKAGES",
        "UV_COMPILE_BYTECODE",
        "UV_FROZEN",
        "UV_LOCKED",
        "UV_NO_EDITABLE",
        "UV_OVERRIDE",
        "UV_PROJECT",
        "UV_PYTHON",
        "UV_SYSTEM_PYTHON",
        "UV_WORKING_DIR",
        "VIRTUAL_ENV",
    }
)
_SET = {
    "NO_COLOR": "1",
    "UV_NO_PROGRESS": "1",
    # The target's Python is not needed here: this one reads for it.
    "UV_PYTHON_DOWNLOADS": "never",
}
_CREDENTIALS = re.compile(r"(?<=://)([^/\s@'\"`]+)@")
# Shorter ones are no secrets, and masking them would make a text unreadable.
_LEAST_SECRET = 4
_WOULD_CHANGE = re.compile(r"^ *[-+~] |^Would (?:download|install|uninstall)\b", re.MULTILINE)

#: What uv says -> what to do about it. The first that is found holds.
_HINTS = {
    r"network (?:was|connectivity is) disabled": (
        "uv is told to work offline (UV_OFFLINE, or `offline` in its configuration), and its cache has not all of it: "
        "allow it the network once."
    ),
    r"[Hh]ash mismatch": (
        "The index serves another file than the one that was locked. Find out why before you lock again."
    ),
    r"Hash-checking is required|--require-hashes": (
        "A requirements.txt with hashes must name every package: make it with `uv pip compile --generate-hashes`."
    ),
    r"40[13] (?:Unauthorized|Forbidden)|authentication credentials": (
        "Give uv the index's credentials: a netrc file, a keyring, or UV_INDEX_<NAME>_USERNAME and _PASSWORD."
    ),
    r"error sending request|tcp connect|dns error|Failed to fetch|timed out|Could not connect": (
        "uv cannot reach the index. Check the network, the proxy, and the index in uv's configuration."
    ),
    r"no wheels with a matching|no usable wheels|no binary distribution|Building source distributions is disabled": (
        "A bundle is made of wheels, since nothing can be compiled here for another machine. Choose a version that "
        "has a wheel for the target, or put a wheel of it into an index of yours."
    ),
    r"unexpected argument|unrecognized subcommand|invalid value .* for '--format": (
        "Upgrade uv: `pip install --upgrade 'wheelrun[bundle]'`."
    ),
    r"requires Python|Python requirement|requested Python version": (
        "Choose versions that run on the target's Python, or a target with another Python."
    ),
    r"was not found in": "Correct the name, or name the index that has it in uv's own configuration.",
}
_DEFAULT_HINT = "Change the requirements so that uv finds a solution; what it says is below."


def find_uv(environ: Mapping[str, str]) -> str:
    """Return the path of uv: the one on PATH, else the one that is installed beside wheelrun.

    Raises:
        ConfigurationError: There is none.
    """
    if found := shutil.which("uv", path=environ.get("PATH", os.defpath)):
        return found
    try:
        import uv

        return uv.find_uv_bin()
    except (ImportError, FileNotFoundError):
        raise ConfigurationError(
            "a bundle of dependencies is made by uv, which is neither on PATH nor installed beside wheelrun",
            hint="Run `pip install uv` or `pip install 'wheelrun[bundle]'`.",
        ) from None


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for uv: the user's configuration, without what is said by arguments, in plain words."""
    return {name: value for name, value in environ.items() if name not in _DROPPED} | _SET


@dataclass(frozen=True, slots=True, kw_only=True)
class Uv:
    """uv at work for one bundle.

    Attributes:
        program: Its path.
        root: The project's folder, where it works.
        environ: The environment that it gets.
        platform: The target.
        work: A private folder for its input; the file names there mean nothing to the user.
        timeout: Seconds that all calls together may take; 0 is no limit.
        runner: Runs a program.
        clock: Tells seconds.
    """

    program: str
    root: Path
    environ: Mapping[str, str]
    platform: Platform
    work: Path
    timeout: float
    runner: Runner = run_process
    clock: Callable[[], float] = time.monotonic
    started: float = field(default_factory=time.monotonic)

    def install(self, wanted: Wanted, target: Path) -> None:
        """Install what is wanted into the folder `target`, which need not be there.

        Raises:
            PackagingError: There is no solution, a wheel is missing, an index does not answer, or time is up.
            ConfigurationError: The lock lacks what the wheels ask for, or holds a project that has no wheel here.
        """
        _SOURCES[wanted.source](self, wanted, target)

    def from_lock(self, wanted: Wanted, target: Path) -> None:
        """Install what a uv.lock holds for this project: the very files that were locked."""
        lock = self.work / "pylock.toml"
        # What is pruned takes along what nothing else asks for; a wheel's dependencies stay though it is not emitted.
        pruned = [word for name in sorted(LEFT_OUT) for word in ("--prune", name)]
        wheels = [word for name in sorted(wanted.wheels) for word in ("--no-emit-package", name)]
        options = ["--frozen", "--no-default-groups", "--no-emit-project", "--format", "pylock.toml"]
        self._run(wanted, ["export", "-q", *options, *pruned, *wheels, "--output-file", str(lock)])
        self._prepare(lock, wanted)
        self._run(wanted, ["pip", "install", "-q", *self._for(target), "--no-deps", "-r", str(lock)])
        self._check(wanted, target)

    def _prepare(self, lock: Path, wanted: Wanted) -> None:
        """Make an exported lock fit for another Python than this one, unless it cannot be installed.

        Raises:
            ConfigurationError: It is not for the target's Python, or one of its projects is but a folder here.
        """
        from packaging.specifiers import SpecifierSet

        table = read_toml(lock)
        python = SpecifierSet(table.get("requires-python", ""))
        # The target's patch version is not known: it may be the first or the last.
        if not any(python.contains(f"{self.platform.python}.{patch}") for patch in (0, 99)):
            raise ConfigurationError(
                f"{wanted.source} is for Python {python}, and the target has {self.platform.python}",
                hint="Change requires-python and lock again, or choose a target with another Python.",
            )
        for package in table.get("packages", []):
            if "directory" in package:
                name = package["name"]
                raise ConfigurationError(
                    f"{wanted.origins().get(name, [name])[0]} is a project on this machine, which has no wheel here",
                    hint="Name its folder in [tool.wheelrun.package] also: then it travels as a wheel of its own.",
                )
        # uv would hold this against the Python that it runs with.
        text = lock.read_text(encoding="utf-8")
        lock.write_text(re.sub(r"^requires-python = .*\n", "", text, count=1, flags=re.MULTILINE), encoding="utf-8")

    def from_requirements(self, wanted: Wanted, target: Path) -> None:
        """Install what a requirements.txt pins; without hashes, also what that asks for."""
        lines = [line.text for line in wanted.pinned]
        if wanted.hashed:
            self._resolve(wanted, target, ["--require-hashes", "-r", self._file("requirements.txt", lines)])
            self._check(wanted, target)
        else:
            lines += [line.text for line in wanted.declared]
            self._resolve(wanted, target, ["-r", self._file("requirements.txt", lines)])

    def from_metadata(self, wanted: Wanted, target: Path) -> None:
        """Install what the wheels ask for, as it is newest now."""
        lines = [line.text for line in wanted.declared]
        self._resolve(wanted, target, ["-r", self._file("requirements.txt", lines)])

    def _resolve(self, wanted: Wanted, target: Path, words: Iterable[str]) -> None:
        # An override that is true nowhere takes a package out of the resolution, and what it alone would bring.
        absent = [f"{name} ; python_version < '0'" for name in sorted(LEFT_OUT | wanted.wheels)]
        overrides = ["--override", self._file("overrides.txt", absent)]
        for path in self.environ.get("UV_OVERRIDE", "").split():
            overrides += ["--override", path]
        self._run(wanted, ["pip", "install", "-q", *self._for(target), *overrides, *words])

    def _check(self, wanted: Wanted, target: Path) -> None:
        """Let uv compare what is installed with what the wheels ask for: the lock may be older than they are."""
        declared = self._file("declared.txt", [line.text for line in wanted.declared])
        words = ["--dry-run", "--offline", "--no-deps", "-r", declared]
        done = self._call(["pip", "install", *self._for(target), *words])
        if done.returncode != 0 or _WOULD_CHANGE.search(done.output):
            output = masked(done.output, self.environ)
            raise ConfigurationError(
                f"{wanted.source} does not hold all that the wheels ask for{_named(wanted, output, self.environ)}",
                hint="Lock again: `uv lock`. A project of `also` is in the lock if this project depends on it."
                if wanted.source == UV_LOCK
                else f"Make {wanted.source} again from what the project asks for.",
                detail=output,
            )

    def _for(self, target: Path) -> list[str]:
        return [
            *("--python", sys.executable, "--target", str(target)),
            *("--python-version", self.platform.python, "--python-platform", self.platform.tag),
            *("--only-binary", ":all:"),
        ]

    def _file(self, name: str, lines: Iterable[str]) -> str:
        path = self.work / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(path)

    def _call(self, words: list[str]) -> Completed:
        environ = uv_environment(self.environ)
        environ.setdefault("UV_PREVIEW_FEATURES", "pylock")  # else it warns with each lock
        left = max(self.timeout - (self.clock() - self.started), 0.001) if self.timeout else 0.0
        done = self.runner([self.program, *words], cwd=self.root, env=environ, timeout=left)
        if done.timed_out:
            raise PackagingError(
                f"uv took longer than {self.timeout:g} seconds for {self.platform} and was ended",
                hint="See below what it waited for; what it has downloaded it keeps for the next time.",
                detail=masked(done.output, self.environ),
            )
        return done

    def _run(self, wanted: Wanted, words: list[str]) -> None:
        done = self._call(words)
        if done.returncode == 0:
            return
        output = masked(done.output, self.environ)
        words_alone = re.sub(r"[\s│├╰─▶×]+", " ", output)  # noqa: RUF001 - uv draws with it
        raise PackagingError(
            f"uv cannot bundle the dependencies for {self.platform}"
            f"{_named(wanted, output, self.environ) or f' from {wanted.source}'}",
            hint=next((hint for pattern, hint in _HINTS.items() if re.search(pattern, words_alone)), _DEFAULT_HINT),
            detail=output,
        )


_SOURCES = {UV_LOCK: Uv.from_lock, REQUIREMENTS: Uv.from_requirements, METADATA: Uv.from_metadata}


def masked(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` without the credentials of addresses and those that the environment gives uv."""
    secrets = set()
    for name, value in environ.items():
        if name.startswith("UV_") and is_secret(name):
            secrets.add(value)
        for found in _CREDENTIALS.findall(value):
            password = found.partition(":")[2] or found
            secrets |= {password, unquote(password)}
    text = _CREDENTIALS.sub(f"{MASK}@", text)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _LEAST_SECRET:
            text = text.replace(secret, MASK)
    return text


def _named(wanted: Wanted, output: str, environ: Mapping[str, str]) -> str:
    """Return `: ` and the requirements that uv's output names, each with its origin; nothing if it names none."""
    named = {re.sub(r"[-_.]+", "-", word).lower() for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", output)}
    # `name-1.0-py3-none-any.whl` in an address, `name==1.0.` at the end of a sentence.
    named |= {word.strip("-") for word in named} | {word.partition("-")[0] for word in named if word.endswith("-whl")}
    origins = [origin for name, lines in wanted.origins().items() if name in named for origin in lines]
    return masked(f": {', '.join(origins)}", environ) if origins else ""
