"""Where wheelrun keeps things on this machine: data, cache, the user's configuration.

`WHEELRUN_HOME` moves all three below one folder; otherwise they are where the platform wants them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from wheelrun.errors import ConfigurationError
from wheelrun.runtime.layout import OWN_MARK


def home(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return `WHEELRUN_HOME`, the folder for data, cache and configuration; None if it is not set."""
    given = environ.get("WHEELRUN_HOME")
    return Path(given).expanduser().absolute() if given else None


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the run store and of local runs, made with mode 0700 if need be.

    Raises:
        ConfigurationError: It cannot be made.
    """
    return _made(data_path(environ), "WHEELRUN_HOME")


def data_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the same folder, which need not exist."""
    base = home(environ)
    if base is None:
        import platformdirs

        return platformdirs.user_data_path("wheelrun", appauthor=False)
    return base / "data"


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of built wheels (`WHEELRUN_CACHE_DIR`), made with mode 0700 if need be.

    Raises:
        ConfigurationError: It cannot be made.
    """
    given, base = environ.get("WHEELRUN_CACHE_DIR"), home(environ)
    if given:
        return _made(Path(given).expanduser().absolute(), "WHEELRUN_CACHE_DIR")
    if base is None:
        import platformdirs

        return _made(platformdirs.user_cache_path("wheelrun", appauthor=False), "WHEELRUN_CACHE_DIR")
    return _made(base / "cache", "WHEELRUN_HOME")


def user_config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the user's own `wheelrun.toml`, which need not exist; `WHEELRUN_CONFIG_DIR` is its folder."""
    given, base = environ.get("WHEELRUN_CONFIG_DIR"), home(environ)
    if given:
        folder = Path(given).expanduser().absolute()
    elif base is not None:
        folder = base / "config"
    else:
        import platformdirs

        folder = platformdirs.user_config_path("wheelrun", appauthor=False)
    return folder / "wheelrun.toml"


def _made(folder: Path, variable: str) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / OWN_MARK).exists():
            with contextlib.suppress(OSError):  # who may only read here changes nothing that could ship
                (folder / OWN_MARK).touch(mode=0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} cannot be made: {error.strerror or error}",
            hint=f"set {variable} to a folder that can be written",
        ) from error
    return folder


EMULATOR_PROFILE = "wheelrun-emulator"
"""The profile of the emulator on this machine, in a file of its own."""


def emulator_profile(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file with the address and the token of the emulator on this machine, which need not exist."""
    return data_path(environ) / "emulator" / "databrickscfg"


def emulator_login(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Return the address and the token of the emulator on this machine.

    Raises:
        ConfigurationError: there is none.
    """
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    parser.read(emulator_profile(environ), encoding="utf-8")
    if not parser.has_section(EMULATOR_PROFILE):
        raise ConfigurationError("no emulator is up on this machine", hint="wheelrun emulator up")
    return parser[EMULATOR_PROFILE]["host"], parser[EMULATOR_PROFILE]["token"]
