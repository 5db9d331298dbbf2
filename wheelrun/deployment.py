"""`Deployment`: everything a run needs, compiled; plain JSON both ways, and checked on the way in.

Arguments are JSON trees. In them `{"$output": [step, name]}` stands for an output of another step; other values that
JSON has no word for are tagged by `wheelrun.runtime.values`.

Standard library only: the cluster side imports this.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from wheelrun.errors import ConfigurationError
from wheelrun.step_settings import Resources, RunIf

FORMAT = 1
"""The format of the JSON. A reader refuses a newer one."""

OWN_DISTRIBUTION = "wheelrun"
"""The distribution that travels beside the project's to a cluster, and decides nothing that a step gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One step, compiled.

    Attributes:
        name: Unique in the deployment.
        function: "module:qualified.name", or a path below the wheel's root for a script, or a module for `python -m`.
        kind: "call" for a function, "script" for a file or module that is run as `__main__`.
        upstream: The steps that must have ended before, in order.
        arguments: Argument name -> JSON tree.
        outputs: The outputs' names; empty for the one output "result".
        run_if: The condition on `upstream`.
        retries: How many times a failed attempt is tried again.
        retry_delay: Seconds before the first retry.
        retry_backoff: Factor from one delay to the next.
        timeout: Seconds for one attempt; None for no limit.
        cache: Whether outputs of an earlier run may serve.
        resources: What it asks of its environment.
        environment: Environment variables set while it runs.
        step_operator: The name of a step operator that runs it elsewhere, if any.
    """

    name: str
    function: str
    kind: str = "call"
    upstream: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    run_if: RunIf = RunIf.ALL_SUCCEEDED
    retries: int = 0
    retry_delay: float = 1.0
    retry_backoff: float = 2.0
    timeout: float | None = None
    cache: bool = False
    resources: Resources = field(default_factory=Resources)
    environment: Mapping[str, str] = field(default_factory=dict)
    step_operator: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "run_if", RunIf(self.run_if))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names under which its outputs are stored."""
        return self.outputs or ("result",)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelRef:
    """The wheel that a deployment runs: its file name, distribution, version and snapshot digest (64 hex digits)."""

    file: str
    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What a run runs. Frozen; `with_wheel` and `with_settings` return changed copies.

    Attributes:
        name: The pipeline's name, or the function's or script's.
        entry: The entry as it was given.
        steps: In an order in which each comes after what it depends on.
        parameters: The entry's parameters, as plain JSON to show and to run again with.
        result: What the entry returns: a JSON tree, with handles on outputs.
        argv: What the steps see as `sys.argv[1:]`.
        uses_spark: Whether a Spark session is sure to be wanted, so that it can be started early.
        wheel: The project's wheel, the first on the path.
        also: Further wheels that stand beside it.
        bundle: An archive of the dependencies, the last on the path.
        conf: Spark configuration.
        environment: Environment variables for the whole run.
        max_parallel_steps: How many independent steps may run at once.
        timeout: Seconds for the whole run; None for no limit.
    """

    name: str
    entry: str
    steps: tuple[StepSpec, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    argv: tuple[str, ...] = ()
    uses_spark: bool = False
    wheel: WheelRef | None = None
    also: tuple[WheelRef, ...] = ()
    bundle: WheelRef | None = None
    conf: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    max_parallel_steps: int = 1
    timeout: float | None = None

    def __post_init__(self) -> None:
        _check_names(self.steps)
        object.__setattr__(self, "steps", _in_order(self.steps))

    def step(self, name: str) -> StepSpec:
        """Return the step of that name.

        Raises:
            ConfigurationError: there is none.
        """
        for spec in self.steps:
            if spec.name == name:
                return spec
        raise ConfigurationError(
            f"deployment {self.name!r} has no step {name!r}",
            hint=f"it has {', '.join(s.name for s in self.steps)}",
        )

    def step_keys(self) -> dict[str, str]:
        """Return each step's cache key: what decides its outputs, its upstream steps' keys included (64 hex digits)."""
        keys: dict[str, str] = {}
        digest = self.wheel.digest if self.wheel else ""
        beside = [wheel for wheel in self.also if wheel.name != OWN_DISTRIBUTION]
        also = [wheel.digest for wheel in (*beside, *([self.bundle] if self.bundle else []))]
        for spec in self.steps:
            facts = [
                digest, also, spec.function, spec.kind, spec.arguments, spec.outputs, list(self.argv),
                [[name, keys[name]] for name in spec.upstream], sorted(spec.environment.items()),
            ]  # fmt: skip
            keys[spec.name] = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return keys

    @property
    def digest(self) -> str:
        """A digest of all of it (64 hex digits): the deployment's id."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def with_settings(self, **changes: Any) -> Deployment:
        """Return a copy with other values of these attributes."""
        return replace(self, **changes)

    def to_json(self) -> str:
        """Return it as one JSON text; the same deployment gives the same text."""
        text = json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:  # bytes of the command line that are no text in this locale
            return json.dumps(self.to_dict(), sort_keys=True)
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain dicts, lists and scalars."""
        return {"format": FORMAT, **_plain(self)}

    @classmethod
    def from_json(cls, text: str) -> Deployment:
        """Read what `to_json` wrote.

        Raises:
            ConfigurationError: it is not JSON, not a deployment, of a newer format, or its steps do not fit together.
        """
        try:
            table = json.loads(text)
        except ValueError as error:
            raise ConfigurationError(f"a deployment is not valid JSON: {error}") from None
        return cls.from_dict(table)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Deployment:
        """Read what `to_dict` gave; raises as `from_json` does."""
        if not isinstance(table, Mapping) or not isinstance(table.get("format"), int):
            raise ConfigurationError("not a deployment: no format number in it")
        if table["format"] > FORMAT:
            raise ConfigurationError(
                f"a deployment of format {table['format']} was written by a newer wheelrun; this one reads {FORMAT}",
                hint="upgrade wheelrun where the run runs",
            )
        try:
            values = _known(cls, {key: value for key, value in table.items() if key != "format"})
            values["steps"] = tuple(_step_from(step) for step in values["steps"])
            values["argv"] = tuple(values.get("argv", ()))
            if values.get("wheel"):
                values["wheel"] = WheelRef(**_known(WheelRef, values["wheel"]))
            if values.get("bundle"):
                values["bundle"] = WheelRef(**_known(WheelRef, values["bundle"]))
            values["also"] = tuple(WheelRef(**_known(WheelRef, wheel)) for wheel in values.get("also", ()))
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"not a deployment: {error}") from None


def references(tree: Any) -> Iterator[tuple[str, str]]:
    """Yield each (step, output) that a JSON tree of arguments refers to."""
    if isinstance(tree, Mapping):
        if set(tree) == {"$output"}:
            step, output = tree["$output"]
            yield step, output
        else:
            for value in tree.values():
                yield from references(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from references(value)


def _check_names(steps: tuple[StepSpec, ...]) -> None:
    for name, count in Counter(spec.name for spec in steps).items():
        if count > 1:
            raise ConfigurationError(f"{count} steps are named {name!r}", hint="give each step its own name")
    outputs = {spec.name: spec.output_names for spec in steps}
    for spec in steps:
        for name in spec.upstream:
            if name not in outputs:
                raise ConfigurationError(f"step {spec.name!r} depends on {name!r}, which is not in the deployment")
        for step, output in references(spec.arguments):
            if step not in spec.upstream:
                raise ConfigurationError(f"step {spec.name!r} takes an output of {step!r} but does not depend on it")
            if output not in outputs[step]:
                raise ConfigurationError(f"step {step!r} has no output {output!r}, which step {spec.name!r} takes")


def _in_order(steps: tuple[StepSpec, ...]) -> tuple[StepSpec, ...]:
    """Return the steps so that each comes after its upstream, otherwise in the order given (Kahn's algorithm)."""
    by_name = {spec.name: spec for spec in steps}
    seen: set[str] = set()
    if all(set(spec.upstream) <= seen and not seen.add(spec.name) for spec in steps):  # type: ignore[func-returns-value]
        return steps
    waiting = {spec.name: len(set(spec.upstream)) for spec in steps}
    downstream: dict[str, list[str]] = {spec.name: [] for spec in steps}
    for spec in steps:
        for name in set(spec.upstream):
            downstream[name].append(spec.name)
    ready = [spec.name for spec in steps if not waiting[spec.name]]
    ordered = []
    for name in ready:
        ordered.append(by_name[name])
        for below in downstream[name]:
            waiting[below] -= 1
            if not waiting[below]:
                ready.append(below)
    if len(ordered) < len(steps):
        left = [name for name, count in waiting.items() if count]
        raise ConfigurationError(
            f"the steps {', '.join(map(repr, left))} wait for each other in a cycle",
            hint="a step must not depend, directly or not, on its own output",
        )
    return tuple(ordered)


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, RunIf):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _known(cls: type[Any], table: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(table) - set(cls.__dataclass_fields__)
    if unknown:
        raise ValueError(f"{cls.__name__} has no {', '.join(sorted(unknown))}")
    return dict(table)


def _step_from(table: Mapping[str, Any]) -> StepSpec:
    values = _known(StepSpec, table)
    values["upstream"] = tuple(values.get("upstream", ()))
    values["outputs"] = tuple(values.get("outputs", ()))
    values["resources"] = Resources(**_known(Resources, values.get("resources", {})))
    return StepSpec(**values)
