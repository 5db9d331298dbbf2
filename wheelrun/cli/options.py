"""Options that several verbs share, the types of their values, and how a shell completes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from wheelrun.errors import WheelrunError

if TYPE_CHECKING:
    from wheelrun.client import Client

Function = TypeVar("Function", bound=Callable[..., Any])

_COMPLETED_RUNS = 30


class Verb(click.Command):
    """A command that takes `--debug` behind its name too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(click.Option(["--debug"], is_flag=True, hidden=True, expose_value=False))


class KeyValue(click.ParamType):  # type: ignore[type-arg]
    """`key=value`, as a pair."""

    name = "k=v"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the first equals sign."""
        key, equals, rest = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not key=value", param, ctx)
        return key, rest


class _Unit(click.ParamType):  # type: ignore[type-arg]
    """A number with a unit, read by one of the configuration's own readers."""

    def __init__(self, name: str, reader: str) -> None:
        self.name = name
        self._reader = reader

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from wheelrun.config import units

        try:
            return getattr(units, self._reader)(value)
        except (WheelrunError, ValueError, TypeError) as error:
            self.fail(str(error), param, ctx)


DURATION = _Unit("duration", "parse_duration")
SIZE = _Unit("size", "parse_size")


def _complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    del param
    try:
        client = client_of(ctx.params.get("project"))
        records = client.store.list(limit=_COMPLETED_RUNS)
    except WheelrunError:
        return []
    items = [CompletionItem(record.id, help=f"{record.name} {record.state}") for record in records]
    return [item for item in items if item.value.startswith(incomplete)]


def _complete_targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    del param
    from wheelrun.client.building import Workspace

    try:
        targets = Workspace(ctx.params.get("project")).settings.targets
    except WheelrunError:
        return []
    return [CompletionItem(name) for name in targets if name.startswith(incomplete)]


def project_option(text: str = "The project's folder; by default the nearest project at or above this one.") -> Any:
    """Return the option `--project DIR`."""
    return click.option("--project", type=click.Path(path_type=Path), metavar="DIR", help=text)


def target_option_of(text: str) -> Any:
    """Return the option `--target NAME`, with its help."""
    return click.option("-t", "--target", metavar="NAME", shell_complete=_complete_targets, help=text)


output_option: Any = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How the result is written."
)
target_option: Any = target_option_of("The target; by default the configured one, else local.")
env_option: Any = click.option(
    "-e", "--env", type=KeyValue(), multiple=True, metavar="K=V", help="An environment variable for the run."
)
conf_option: Any = click.option("--conf", type=KeyValue(), multiple=True, metavar="K=V", help="A setting of Spark.")
wait_option: Any = click.option(
    "--wait/--no-wait", default=True, help="Follow the run to its end (the default), or return when it is submitted."
)
allow_secret_option: Any = click.option(
    "--allow-secret",
    "allow_secrets",
    multiple=True,
    metavar="PATH",
    help="A file that ships although it looks like a secret.",
)
run_argument: Any = click.argument("run", default="last", metavar="[RUN]", shell_complete=_complete_runs)
"""A run: its id, the start or the end of one, or "last", which is the default."""


def options(*decorators: Any) -> Callable[[Function], Function]:
    """Apply decorators so that their options are listed in the order given."""

    def decorate(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def pairs(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return pairs as a table; the last one of a key wins."""
    return dict(given)


def client_of(project: Path | None) -> Client:
    """Return the client for a command; its store is closed when the command ends."""
    from wheelrun.client import Client

    client = Client(project)
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(lambda: _close(client))
    return client


def _close(client: Client) -> None:
    if "store" in vars(client):
        client.store.close()
