"""`wheelrun completion`."""

from __future__ import annotations

import click

from wheelrun.cli.console import out
from wheelrun.cli.options import Verb

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Verb, short_help="Print the completion script for a shell.")
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    r"""Print the script that makes SHELL complete verbs, options, runs and targets.

    \b
    bash:  eval "$(wheelrun completion bash)"                 in ~/.bashrc
    zsh:   eval "$(wheelrun completion zsh)"                  in ~/.zshrc
    fish:  wheelrun completion fish > ~/.config/fish/completions/wheelrun.fish
    """
    from click.shell_completion import get_completion_class

    from wheelrun.cli.app import COMPLETE_VARIABLE, cli

    kind = get_completion_class(shell)
    assert kind is not None
    out(kind(cli, {}, "wheelrun", COMPLETE_VARIABLE).source())
