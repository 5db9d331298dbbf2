"""One target, resolved: flags over environment over the target's table over the defaults."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from wheelrun.config import remotes
from wheelrun.config.masters import is_here, settings_of
from wheelrun.config.places import data_dir
from wheelrun.config.settings import (
    LOCAL,
    TARGET_KEYS,
    Settings,
    TargetTable,
    merge_targets,
    target_table,
)
from wheelrun.config.tables import did_you_mean, echo, unknown_key
from wheelrun.errors import ConfigurationError

if TYPE_CHECKING:
    import pydantic

    Model = TypeVar("Model", bound=pydantic.BaseModel)


_OFFERED_BY = {"emulator": "emulator", "cluster": "cluster", "connect": "cluster"}
"""A target that is there while something on this machine is up -> the command that starts that."""

_PASSWORD = re.compile(r"[\w+.-]+://[^/@:]*:[^/]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One resolved target.

    Attributes:
        name: The target's name.
        orchestrator: Its orchestrator's name.
        config: The orchestrator's own keys, raw.
        artifact_root: A folder (absolute) or a URI; empty when nobody said and the orchestrator has to know.
        environment: Variables for the run.
        conf: Spark settings.
        timeout: Seconds for the run, or None for no limit.
        where: Where the target was configured, for messages.
    """

    name: str
    orchestrator: str
    config: Mapping[str, Any]
    artifact_root: str
    environment: Mapping[str, str]
    conf: Mapping[str, str]
    timeout: float | None
    where: str = ""


def resolve_stack(
    settings: Settings,
    target: str | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Stack:
    """Return the stack of `target` (else of `WHEELRUN_TARGET`, else of the default target).

    Where the flags name a `master` and there is no `target`, the stack is that master's own, and is called by the name
    of the orchestrator that it wants.

    An orchestrator's own keys in `[defaults]` go to the targets of the orchestrator that `[defaults]` names
    (of `local` if it names none), so that they never reach one that does not know them.

    A connection string never stays whole: its secrets move to the run's variables, whose names tell that they are.

    Args:
        settings: What `load_settings` returned.
        target: The target's name, as given on the command line.
        flags: Keys of a target as given on the command line; one that is None was not given. A `remote` without a
            target makes one, called "connect".
        environ: Read for `WHEELRUN_TARGET`, `WHEELRUN_ARTIFACT_ROOT`, `WHEELRUN_TIMEOUT`, for `WHEELRUN_CONF` and
            `WHEELRUN_ENVIRONMENT`: `key=value` words as a shell would split them; and for the address and token of a
            Connect server.

    Raises:
        ConfigurationError: There is no such target, it has no orchestrator, or a value is not understood.
    """
    said = {key: value for key, value in (flags or {}).items() if value is not None}
    if target is None and "master" in said:
        said |= settings_of(said["master"], said.pop("deploy_mode", None))
        target = said["orchestrator"]
        settings = replace(settings, targets={target: target_table({}, "", Path()), **settings.targets})
    name = target or environ.get("WHEELRUN_TARGET") or settings.target
    table = settings.targets.get(name)
    if target is None and "remote" in said:
        name, table = "connect", TargetTable(where="--remote", orchestrator=remotes.CONNECT)
    if table is None:
        raise ConfigurationError(
            f"there is no target {name!r}{did_you_mean(name, settings.targets)}",
            hint=f"it is there while that is up; to start it: wheelrun {_OFFERED_BY[name]} up"
            if name in _OFFERED_BY
            else f"known targets: {', '.join(sorted(settings.targets))}; add one as a table [targets.{name}]",
        )
    given = merge_targets(*_from_environ(environ), target_table(said, "flag", Path()))
    defaults = settings.defaults
    own = LOCAL if name == LOCAL else defaults.orchestrator
    orchestrator = given.orchestrator or table.orchestrator or own
    if orchestrator is None:
        raise ConfigurationError(
            f"{table.where or name} names no orchestrator",
            hint=f'add orchestrator = "…" to [targets.{name}] or to [defaults]',
        )
    if "remote" in said and orchestrator != remotes.CONNECT:
        raise ConfigurationError(
            f"target {name!r} is one of {orchestrator!r}, which takes no --remote",
            hint=f"leave the target out, or name one of {remotes.CONNECT!r}",
        )
    if orchestrator != (defaults.orchestrator or LOCAL):
        defaults = replace(defaults, config={})
    stacked = merge_targets(defaults, table, given)
    artifact_root = stacked.artifact_root or ""
    if not artifact_root and (orchestrator == remotes.CONNECT or is_here(orchestrator, stacked.config)):
        artifact_root = str(data_dir(environ) / "artifacts")
    if _PASSWORD.match(artifact_root):
        raise ConfigurationError(
            f"the artifact_root of target {name!r} holds a password, which would be stored with every run",
            hint="leave it out, and give it in the environment, where the storage's own tools take it from",
        )
    config, environment = stacked.config, stacked.environment
    if orchestrator == remotes.CONNECT:
        config, environment = remotes.settled(config, environment, stacked.conf, environ)
    config, environment, conf = remotes.without_secrets(config, environment, stacked.conf)
    return Stack(
        name=name,
        orchestrator=orchestrator,
        config=config,
        artifact_root=artifact_root,
        environment=environment,
        conf=conf,
        timeout=stacked.timeout or None,
        where=table.where or f"target {name}",
    )


def validate(model: type[Model], table: Mapping[str, Any], where: str) -> Model:
    """Read `table` into an orchestrator's pydantic `model`.

    Args:
        model: The model; keys that it does not have are refused whatever its own settings are.
        table: The raw keys.
        where: File and table, for the message.

    Raises:
        ConfigurationError: A key is unknown (the nearest known one is named), or a value does not fit.
    """
    import pydantic

    known = {info.alias or name for name, info in model.model_fields.items()} | set(model.model_fields)
    for key in table:
        if key not in known:
            raise unknown_key(key, where, known, TARGET_KEYS)
    try:
        return model.model_validate(dict(table))
    except pydantic.ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False):
            *above, last = problem["loc"] or ("",)
            if problem["type"] == "extra_forbidden":
                path = "".join(f"{part}." for part in above)
                names = [f"{path}{name}" for name in _model_at(model, above).model_fields]
                raise unknown_key(f"{path}{last}", where, names) from None
            key = ".".join(str(part) for part in problem["loc"])
            said = "" if isinstance(problem["input"], Mapping) else f" = {echo(key, problem['input'])}"
            text = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{key}{said}: {text[:1].lower()}{text[1:]}".removeprefix(": "))
        raise ConfigurationError(f"{where}: {'; '.join(lines)}") from None


def _model_at(model: type[pydantic.BaseModel], place: Iterable[object]) -> type[pydantic.BaseModel]:
    """Return the model of the table that stands at a place below a model's."""
    for part in place:
        field = model.model_fields.get(str(part))
        model = next(_models(field.annotation), model) if field else model  # else a name or number of one of several
    return model


def _models(annotation: object) -> Iterator[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _from_environ(environ: Mapping[str, str]) -> Iterator[TargetTable]:
    for key in ("artifact_root", "timeout", "conf", "environment"):
        variable = f"WHEELRUN_{key.upper()}"
        value = environ.get(variable)
        if value:
            said = _pairs(variable, value) if key in {"conf", "environment"} else value
            yield target_table({key: said}, variable, Path())


def _pairs(variable: str, text: str) -> dict[str, str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigurationError(f"{variable}: {error}") from error
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigurationError(f"{variable}: {echo('', word)} is not key=value")
        pairs[key] = value
    return pairs
