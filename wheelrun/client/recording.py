"""What a run's record keeps of its target, and the target again from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from wheelrun.config import Stack
from wheelrun.config.remotes import given_again, without_secrets
from wheelrun.deployment import Deployment
from wheelrun.errors import ConfigurationError
from wheelrun.packaging.wheel import Wheel
from wheelrun.runtime.masking import is_hidden, public
from wheelrun.states import StepStatus
from wheelrun.store import RunRecord


def new_record(
    deployment: Deployment, stack: Stack, *, project: Path, key: str | None, submitter: Mapping[str, Any]
) -> RunRecord:
    """Return the record of a run that is about to be submitted; what is secret is not in it, but for its names."""
    kept = replace(stack, environment=public(stack.environment), conf=public(stack.conf))
    settings = (*stack.environment.items(), *stack.conf.items())
    secret = sorted(name for name, value in settings if is_hidden(name, value))
    return RunRecord(
        project=str(project),
        name=deployment.name,
        target=stack.name,
        orchestrator=stack.orchestrator,
        entry=deployment.entry,
        params=dict(deployment.parameters),
        argv=deployment.argv,
        steps=tuple(StepStatus(name=spec.name) for spec in deployment.steps),
        idempotency_key=key,
        artifact_root=stack.artifact_root,
        stack={**asdict(kept), "environment": dict(kept.environment), "conf": dict(kept.conf)},
        metadata={"secret_settings": secret} if secret else {},
        submitter=submitter,
    )


def recorded_stack(
    record: RunRecord,
    env: Mapping[str, str] | None,
    conf: Mapping[str, str] | None,
    *,
    environ: Mapping[str, str],
) -> Stack:
    """Return the target of a recorded run, with what is given again of its secrets.

    Args:
        record: The run.
        env: Environment variables on top of the recorded ones.
        conf: Spark configuration likewise.
        environ: The environment, in which secrets may be, too.

    Raises:
        ConfigurationError: a secret is missing.
    """
    stack = Stack(**record.stack)
    environment, spark = {**stack.environment, **(env or {})}, {**stack.conf, **(conf or {})}
    config, known = given_again(stack.config, env or {}, environ)
    config, environment, spark = without_secrets(config, environment, spark)
    for name in record.metadata.get("secret_settings", ()):
        if name in environment or name in spark:
            continue
        if name not in known:
            flag = "--conf" if "." in name else "-e"
            raise ConfigurationError(
                f"{name} was given to run {record.id} and, being a secret, not recorded",
                hint=f"give it again: {flag} {name}=…, or set it in the environment",
            )
        environment[name] = known[name]
    return replace(stack, config=config, environment=environment, conf=spark)


def wheel_table(wheel: Wheel) -> dict[str, Any]:
    """Return what a record says of a wheel."""
    return {"path": str(wheel.path), "name": wheel.name, "version": wheel.version, "digest": wheel.digest}
