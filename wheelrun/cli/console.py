"""The two streams: what is asked for goes to standard output, everything else to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from wheelrun.errors import WheelrunError

if TYPE_CHECKING:
    from rich.console import Console

INDENT = "  "
_NAMES = 2  # the first columns of a table hold what people copy, and are not broken


def say(text: str = "", *, nl: bool = True) -> None:
    """Write a line to standard error; its styles stay only if that is a terminal that wants them.

    What cannot be written (a full disk) is lost: it is not what was asked for.
    """
    try:
        click.echo(text, err=True, nl=nl, color=is_coloured(sys.stderr))
    except BrokenPipeError:
        raise
    except OSError:
        return


def out(text: str = "") -> None:
    """Write a line to standard output."""
    click.echo(text, color=is_coloured(sys.stdout))


def out_json(document: Any) -> None:
    """Write a JSON document to standard output."""
    import json

    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    click.echo(json.dumps(document, indent=2, ensure_ascii=encoding != "utf8", default=str))


def warn(text: str) -> None:
    """Write a warning to standard error."""
    say(click.style("warning: ", fg="yellow") + text)


def complain(error: WheelrunError) -> None:
    """Write an error with its detail and its hint to standard error."""
    say(click.style("error: ", fg="red", bold=True) + error.message)
    if error.detail:
        say(indented(error.detail))
    if error.hint:
        say(click.style("hint: ", fg="cyan") + error.hint)
    if error.run_id is not None:
        say(f"this is run {error.run_id}; once that is mended: wheelrun resume {error.run_id}")


def indented(text: str, by: str = INDENT) -> str:
    """Return the lines of a text, each moved to the right."""
    return "\n".join(f"{by}{line}".rstrip() for line in text.rstrip("\n").split("\n"))


def is_coloured(stream: TextIO) -> bool:
    """Whether a stream is a terminal that takes colours (`NO_COLOR` is honoured, and `TERM=dumb`)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at a stream."""
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def console(stream: TextIO) -> Console:
    """Return rich's console on a stream, for what a terminal is shown."""
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False, no_color=not is_coloured(stream))


def out_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] | None = None, *, needed: int = 99
) -> None:
    """Write a table to standard output: fitted to a terminal, whole and aligned with spaces elsewhere.

    Args:
        columns: The titles.
        rows: The cells, one per column.
        styles: A style for each row's first cell.
        needed: So many columns are always shown; a terminal that is too narrow for them all lacks the last others.
    """
    rows = [[" ".join(cell.splitlines()) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    if not is_terminal(sys.stdout):
        for row in (columns, *rows):
            out("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich.table import Table
    from rich.text import Text

    screen = console(sys.stdout)
    while len(widths) > needed and sum(widths) + 2 * len(widths) > screen.width:
        widths.pop()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, title in enumerate(columns[: len(widths)]):
        table.add_column(title, overflow="fold", no_wrap=number < _NAMES)
    for number, row in enumerate(rows):
        first = Text(row[0], style=styles[number] if styles else "")
        table.add_row(first, *map(Text, row[1 : len(widths)]))
    screen.print(table)
