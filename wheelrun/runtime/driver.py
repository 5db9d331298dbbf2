"""The first file of a driver on a cluster: it puts the code that was shipped on the path and hands over to wheelrun.

It runs as a script, before wheelrun can be imported, and so stands on its own: standard library, and pyspark where the
artifact root is a Hadoop file system. Its one argument is a ticket (see `wheelrun.runtime.ticket`) as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import traceback
import zipfile
from pathlib import Path
from typing import Any


def main(argument: str) -> int:
    """Unpack the code that a ticket names, and run what it names; return the exit status."""
    ticket = json.loads(argument)
    code = ticket["code"]
    folder = Path(tempfile.mkdtemp(prefix="wheelrun-code-", dir=os.environ.get("_WHEELRUN_SCRATCH")))
    try:
        unpacked = os.environ.pop("_WHEELRUN_CODE", "")
        places = unpacked.split(os.pathsep) if unpacked else [unpack(name, ticket["root"], folder) for name in code]
        sys.path[0] = places[0]  # the folder of this file, in which there is nothing to import
        sys.path[1:1] = places[1:]
        prefer_installed_pyspark()
        from wheelrun.runtime.drive import drive

        return drive(ticket, places)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpack(name: str, root: str, folder: Path) -> str:
    """Unpack an archive below the artifact root into a folder of its own, with its files' modes.

    Raises:
        ValueError: a file of it would lie outside.
    """
    place = folder / Path(name).stem
    place.mkdir()
    source = fetch(name, root, folder)
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            target = (place / info.filename).resolve()
            if place.resolve() not in (target, *target.parents):
                raise ValueError(f"{name}: {info.filename} would lie outside of its folder")
            archive.extract(info, place)
            if mode := info.external_attr >> 16 & 0o777:
                target.chmod(mode)
    return str(place)


def prefer_installed_pyspark() -> None:
    """Import pyspark from where it is installed, if that is the Spark that started this process.

    spark-submit puts an archive of it first, whose modules Python compiles anew in each process.
    """
    from importlib.machinery import PathFinder

    for entry in [entry for entry in sys.path if entry.endswith("/python/lib/pyspark.zip")]:
        rest = [other for other in sys.path if other != entry]
        spec = PathFinder.find_spec("pyspark", rest)
        if spec and spec.origin and Path(spec.origin).resolve().parent == Path(entry).resolve().parents[2]:
            sys.path[:] = rest


def fetch(name: str, root: str, folder: Path) -> Path:
    """Return a path of a file below the artifact root: itself in a folder, else a copy.

    A process of its own copies it: this one forks others, which must not inherit a connection to the JVM.

    Raises:
        OSError: it cannot be copied; the reason was written to standard error.
    """
    if "://" not in root:
        return Path(root, name)
    target = folder / f"{Path(name).name}.download"
    pid = os.fork()
    if pid == 0:
        try:
            copy_here(f"{root.rstrip('/')}/{name}", target)
        except BaseException:  # noqa: BLE001 - the parent tells that it failed
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1] != 0:
        raise OSError(f"{root.rstrip('/')}/{name} cannot be read")
    return target


def copy_here(url: str, target: Path) -> None:
    """Copy a file of a Hadoop file system to a path of this machine."""
    jvm = java()
    spark, hadoop = jvm.org.apache.spark, jvm.org.apache.hadoop
    configuration = spark.deploy.SparkHadoopUtil.get().newConfiguration(spark.SparkConf())
    source = hadoop.fs.Path(url)
    source.getFileSystem(configuration).copyToLocalFile(False, source, hadoop.fs.Path(str(target)), True)


def java() -> Any:
    """Return the JVM that started this process, without making a Spark application in it."""
    from pyspark import SparkContext

    SparkContext._ensure_initialized()  # noqa: SLF001 - there is no public way
    return SparkContext._jvm  # noqa: SLF001


if __name__ == "__main__":
    status = main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # no thread of the gateway may hold it up
