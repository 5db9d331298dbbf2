"""Values between steps, as files: plain values as JSON, Spark and pandas frames as parquet, the rest pickled.

Each output is a folder with its value and `meta.json`; it is written under another name and then renamed.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wheelrun.errors import UploadError
from wheelrun.runtime.layout import write_atomically
from wheelrun.runtime.session import active_remote
from wheelrun.runtime.tracebacks import message_of
from wheelrun.runtime.values import NotPlainError, decode, encode
from wheelrun.signatures import spark_session

FRAME = "data.parquet"
"""What a frame is called in its output's folder."""


class OutputError(TypeError):
    """An output cannot be stored."""


def save(folder: Path, value: Any, *, frames: str = "") -> dict[str, Any]:
    """Write one output.

    Args:
        folder: Where it goes; what was there is replaced.
        value: The value.
        frames: The URL of the same folder as every executor can reach it, where a Spark frame goes; by default the
            folder itself.

    Returns:
        Its description: format (json, parquet, pickle), type, rows (where cheap), bytes.

    Raises:
        OutputError: it cannot be written in any of the formats.
        UploadError: there is no room for it, the folder cannot be written, or Spark has written to another disk.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        temporary.mkdir(parents=True)
        meta = {"type": _type_name(value), **_write(temporary, value, frames)}
        meta["bytes"] = sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())
        (temporary / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        temporary.replace(folder)
    except OSError as error:
        raise UploadError(
            f"{folder} cannot be written: {error.strerror or error}", hint="free some space, or set artifact_root"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return meta


def load(folder: Path) -> Any:
    """Read one output back.

    Raises:
        FileNotFoundError: there is none.
    """
    meta = describe(folder)
    return _READERS[meta["format"], meta.get("frame", "")](folder)


def describe(folder: Path) -> dict[str, Any]:
    """Return an output's description, as `save` gave it.

    Raises:
        FileNotFoundError: there is none.
    """
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    return meta


def remember(index: Path, outputs: dict[str, Path], descriptions: list[dict[str, Any]]) -> None:
    """Write a step cache entry: where the outputs of a key lie, below the root that the index is of."""
    root = index.parent.parent
    places = {name: os.path.relpath(path, root) for name, path in outputs.items()}
    entry = {"outputs": places, "descriptions": descriptions}
    write_atomically(index, json.dumps(entry).encode())


def recall(index: Path) -> tuple[dict[str, Path], list[dict[str, Any]]] | None:
    """Return the outputs of a step cache entry, or None if there is none or an output of it is gone."""
    try:
        entry = json.loads(index.read_text(encoding="utf-8"))
        outputs = {name: index.parent.parent / path for name, path in entry["outputs"].items()}
    except (FileNotFoundError, ValueError, KeyError):
        return None
    if all((path / "meta.json").is_file() for path in outputs.values()):
        return outputs, entry["descriptions"]
    return None


def outputs_of(index: Path) -> list[Path]:
    """Return where the outputs of a step cache entry lie, whether or not they are there."""
    try:
        entry = json.loads(index.read_text(encoding="utf-8"))
        return [index.parent.parent / path for path in entry["outputs"].values()]
    except (FileNotFoundError, ValueError, KeyError):
        return []


def adopt(source: Path, folder: Path) -> None:
    """Make an output of an earlier run an output of this one, by hard links (copies where there can be none)."""
    if folder.exists():
        return
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.{os.urandom(4).hex()}")
    shutil.copytree(source, temporary, copy_function=_link)
    try:
        temporary.replace(folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not folder.exists():
            raise


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _write(folder: Path, value: Any, frames: str) -> dict[str, Any]:
    if _is_frame(value, "pyspark.sql"):
        if frames:
            url = f"{frames}/{FRAME}"
            value.write.mode("overwrite").parquet(url)
            return {"format": "parquet", "frame": "spark", "rows": None, "url": url}
        value.write.parquet((folder / FRAME).as_uri())
        _make_sure(folder / FRAME, value)
        return {"format": "parquet", "frame": "spark", "rows": _parquet_rows(folder / FRAME)}
    if _is_frame(value, "pandas") and _has_parquet():
        _written_down(value).to_parquet(folder / FRAME)
        return {"format": "parquet", "frame": "pandas", "rows": len(value)}
    try:
        text = json.dumps(encode(value), ensure_ascii=False)
        (folder / "value.json").write_text(text, encoding="utf-8", errors="surrogatepass")
        return {"format": "json", "rows": None}
    except (NotPlainError, RecursionError, ValueError):  # ValueError: an int of thousands of digits has no text
        pass
    try:
        with (folder / "value.pkl").open("wb") as stream:
            pickle.dump(value, stream, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise OutputError(
            f"an output of type {_type_name(value)} cannot be stored: {message_of(error)}. Return plain values, Spark "
            "or pandas frames, or something that can be pickled"
        ) from error
    return {"format": "pickle", "rows": None}


def _make_sure(folder: Path, value: Any) -> None:
    """Refuse a frame that Spark has written where this process cannot see it: even one without rows makes a file."""
    if not any(path.suffix == ".parquet" for path in folder.glob("**/*")):
        where = "the Connect server" if ".connect." in type(value).__module__ else "Spark"
        raise UploadError(
            f"{where} has written a frame to {folder}, and nothing of it is there: it has another disk",
            hint="set artifact_root to a folder that this machine and Spark's share, or return what fits in memory:"
            " a pandas frame or plain values",
        )


def _is_frame(value: Any, package: str) -> bool:
    kind = type(value)
    return kind.__name__ == "DataFrame" and f"{kind.__module__}.".startswith(f"{package}.")


def _written_down(frame: Any) -> Any:
    """Return a pandas frame without the attributes that parquet has no form for; Spark Connect leaves its metrics."""
    kept = {name: item for name, item in frame.attrs.items() if _is_json(item)}
    if len(kept) == len(frame.attrs):
        return frame
    frame = frame.copy(deep=False)
    frame.attrs = kept
    return frame


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _has_parquet() -> bool:
    import importlib.util

    return importlib.util.find_spec("pyarrow") is not None


def _parquet_rows(folder: Path, limit: int = 64) -> int | None:
    """Return the rows of a parquet folder from its footers; None where that is not cheap.

    They are read by the session's JVM, or by pyarrow, which the client of Spark Connect brings.
    """
    parts = [path for path in folder.iterdir() if path.suffix == ".parquet"]
    if len(parts) > limit:
        return None
    if active_remote() is not None:
        from pyarrow.parquet import read_metadata

        return sum(int(read_metadata(part).num_rows) for part in parts)
    jvm = getattr(spark_session(), "_jvm", None)
    if jvm is None:
        return None
    configuration = jvm.org.apache.hadoop.conf.Configuration()
    rows = 0
    for part in parts:
        path = jvm.org.apache.hadoop.fs.Path(part.as_uri())
        with _closing(
            jvm.org.apache.parquet.hadoop.ParquetFileReader.open(
                jvm.org.apache.parquet.hadoop.util.HadoopInputFile.fromPath(path, configuration)
            )
        ) as reader:
            rows += reader.getRecordCount()
    return rows


@contextlib.contextmanager
def _closing(reader: Any) -> Iterator[Any]:
    try:
        yield reader
    finally:
        reader.close()


def _read_json(folder: Path) -> Any:
    return decode(json.loads((folder / "value.json").read_text(encoding="utf-8", errors="surrogatepass")))


def _read_pickle(folder: Path) -> Any:
    with (folder / "value.pkl").open("rb") as stream:
        return pickle.load(stream)  # noqa: S301 - written by a step of the same run, in a folder of the user's


def _read_spark(folder: Path) -> Any:
    data = folder / FRAME
    place = data.as_uri() if data.exists() else describe(folder).get("url", data.as_uri())
    return spark_session().read.parquet(place)


def _read_pandas(folder: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(folder / FRAME)


_READERS = {
    ("json", ""): _read_json,
    ("pickle", ""): _read_pickle,
    ("parquet", "spark"): _read_spark,
    ("parquet", "pandas"): _read_pandas,
}
