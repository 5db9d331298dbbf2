"""The JSON documents that `-o json` writes: a contract with programs that read them.

Times are ISO 8601 in UTC, durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wheelrun.client import BuildResult, Prepared, RunRecord
    from wheelrun.client.pruning import Pruned
    from wheelrun.packaging.cache import CacheEntry, WheelCache
    from wheelrun.states import ErrorInfo, StepStatus


def instant(seconds: float | None) -> str | None:
    """Return a time as `2026-01-01T09:30:12.345Z`."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def run_document(record: RunRecord, *, steps: bool = True) -> dict[str, Any]:
    """Return what `submit`, `status`, `cancel`, `resume` and `rerun` write; without steps, what `runs` lists."""
    document: dict[str, Any] = {
        "run_id": record.id,
        "state": str(record.state),
        "target": record.target,
        "orchestrator": record.orchestrator,
        "entry": record.entry,
        "params": dict(record.params),
        "wheel": _wheel(record.wheel),
    }
    if steps:
        document["steps"] = [_step(step) for step in record.steps]
    return {
        **document,
        "error": _error(record.error),
        "exit_code": record.exit_code,
        "url": record.url,
        "created_at": instant(record.created_at),
        "started_at": instant(record.started_at),
        "ended_at": instant(record.ended_at),
    }


def build_document(built: BuildResult) -> dict[str, Any]:
    """Return what `build` writes."""
    wheel = built.wheel
    return {
        "wheel": str(wheel.path),
        "name": wheel.name,
        "version": wheel.version,
        "digest": wheel.digest,
        "cached": built.cached,
        "files": list(built.shipped),
        "bytes": wheel.size,
        "excluded": [{"path": item.path, "rule": item.rule} for item in built.excluded],
        "seconds": round(built.seconds, 3),
    }


def prepared_document(prepared: Prepared) -> dict[str, Any]:
    """Return what `submit --dry-run` writes, secrets masked."""
    from wheelrun.runtime.masking import masked

    deployment = prepared.deployment.to_dict()
    for table in (deployment, *deployment["steps"]):
        for name in ("environment", "conf"):
            if name in table:
                table[name] = masked(table[name])
    wheel = prepared.build.wheel
    return {
        "request": prepared.request.display(),
        "wheel": {"path": str(wheel.path), "name": wheel.name, "version": wheel.version, "digest": wheel.digest},
        "deployment": deployment,
    }


def _wheel(wheel: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if wheel is None else {key: wheel.get(key) for key in ("path", "name", "version", "digest")}


def _step(step: StepStatus) -> dict[str, Any]:
    return {
        "name": step.name,
        "state": str(step.state),
        "attempts": step.attempts,
        "seconds": None if step.seconds is None else round(step.seconds, 3),
        "error": _error(step.error),
    }


def _error(error: ErrorInfo | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "type": error.type,
        "category": error.category,
        "message": error.message,
        "traceback": error.traceback,
        "hint": error.hint,
    }


def cache_document(cache: WheelCache, entries: Sequence[CacheEntry]) -> dict[str, Any]:
    """Return what `cache show` writes."""
    return {
        "root": str(cache.root),
        "bytes": sum(entry.size for entry in entries),
        "max_bytes": cache.max_bytes,
        "entries": [
            {
                "kind": entry.kind,
                "key": entry.key,
                "wheel": entry.meta.get("wheel"),
                "bundle": entry.meta.get("bundle"),
                "bytes": entry.size,
                "used_at": instant(entry.used_at),
            }
            for entry in entries
        ],
    }


def pruned_document(pruned: Pruned, *, dry_run: bool) -> dict[str, Any]:
    """Return what `cache prune --target` writes; of a dry run, what would be removed."""
    return {
        "target": pruned.target,
        "root": pruned.root,
        "dry_run": dry_run,
        "removed": len(pruned.items),
        "bytes": pruned.bytes,
        "items": [{"name": item.name, "bytes": item.bytes} for item in pruned.items],
    }
