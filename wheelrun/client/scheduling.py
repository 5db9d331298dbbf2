"""Schedules: an entry compiled, built and handed to a target that runs it again and again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wheelrun.client.pythons import check_python
from wheelrun.config import resolve_stack
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.schedules import Schedule, Scheduled, Scheduler

if TYPE_CHECKING:
    from wheelrun.client.client import Client


def scheduler_of(client: Client, target: str | None = None) -> Scheduler:
    """Return the schedules of a target.

    Raises:
        ConfigurationError: there is no such target, or it does not run on a schedule.
    """
    stack = resolve_stack(client.settings, target, environ=client.environ)
    orchestrator = client.orchestrator_for(stack)
    if not orchestrator.config.is_schedulable:
        raise ConfigurationError(
            f"target {stack.name!r} ({stack.orchestrator}) does not run on a schedule",
            hint="name a target that does, or let cron run `wheelrun submit`",
        )
    return orchestrator.scheduler()


def set_schedule(
    client: Client,
    entry: str | Callable[..., Any],
    schedule: Schedule,
    params: Mapping[str, Any] | None = None,
    *,
    target: str | None = None,
    argv: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    conf: Mapping[str, str] | None = None,
    name: str | None = None,
    timeout: float | None = None,
    allow_secrets: Collection[str] = (),
    now: bool = False,
) -> Scheduled:
    """Run an entry, as it is now, on a schedule, in place of the one that it had. Nothing runs before its time.

    Args:
        client: Who sets it.
        entry: What runs; see `Client.submit`.
        schedule: When.
        params: Its parameters.
        target: The target's name; by default the configured one.
        argv: Arguments that the code sees as `sys.argv[1:]`.
        env: Environment variables for its runs.
        conf: Spark configuration.
        name: Another name for it.
        timeout: Seconds for a whole run.
        allow_secrets: Paths that the secret guard lets through.
        now: Run it once at once, too.

    Raises:
        WheelrunError: as `Client.submit` does; or the target does not run on a schedule.
    """
    scheduler_of(client, target)
    prepared = client.prepare(
        entry,
        params,
        target=target,
        argv=argv,
        env=env,
        conf=conf,
        name=name,
        timeout=timeout,
        allow_secrets=allow_secrets,
    )
    orchestrator = prepared.orchestrator
    if (python := orchestrator.known_python()) is not None:
        check_python(client.project, python, prepared.stack.name)
    return orchestrator.scheduler().set(prepared.deployment, prepared.stack, schedule, now=now)
