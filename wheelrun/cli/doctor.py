"""`wheelrun doctor`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wheelrun.cli.console import INDENT, indented, is_terminal, out, out_json, say
from wheelrun.cli.options import KeyValue, Verb, client_of, options, output_option, pairs, project_option
from wheelrun.errors import ConfigurationError

if TYPE_CHECKING:
    from wheelrun.findings import Finding


@click.command("doctor", cls=Verb, short_help="Check this machine, the project and its targets.")
@click.argument("entry", required=False)
@options(
    click.option(
        "-p", "--param", "params", type=KeyValue(), multiple=True, metavar="K=V", help="A parameter of ENTRY."
    ),
    click.option("-t", "--target", metavar="NAME", help="Check only this target; by default all."),
    click.option("--deep", is_flag=True, help="Run a probe on the target: what its driver and executors have."),
    project_option(),
    output_option,
)
def command(
    *,
    entry: str | None,
    params: tuple[tuple[str, str], ...],
    target: str | None,
    deep: bool,
    project: Path | None,
    output: str,
) -> int:
    """Check Python, Java, Spark, the project and each target, and say what to do about what is wrong.

    With ENTRY, build the wheel and import ENTRY from it, with the working tree off the path. Exits with 3 if something
    is wrong.
    """
    from wheelrun.doctor import examine

    findings = []
    for finding in examine(client_of(project), entry, pairs(params), target=target, deep=deep, on_check=_busy):
        findings.append(finding)
        if output == "text":
            _clear()
            _show(finding)
    _clear()
    failed = [finding for finding in findings if not finding.ok]
    if output == "json":
        out_json({"ok": not failed, "checks": [_document(finding) for finding in findings]})
    elif failed:
        say(f"{len(failed)} of {len(findings)} checks failed")
    else:
        say(f"all {len(findings)} checks passed")
    return ConfigurationError.exit_code if failed else 0


def _show(finding: Finding) -> None:
    mark = click.style("ok    ", fg="green") if finding.ok else click.style("failed", fg="red", bold=True)
    out(f"{mark}  {finding.check.ljust(16)}  {finding.detail}")
    if finding.traceback:
        out(indented(finding.traceback, INDENT * 4))
    if finding.remedy:
        out(f"{INDENT * 4}{click.style('remedy:', fg='cyan')} {finding.remedy}")


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "ok": finding.ok,
        "detail": finding.detail,
        "remedy": finding.remedy,
        "traceback": finding.traceback,
    }


def _busy(name: str) -> None:
    """Show on a terminal what is being looked at; the line is taken away by `_clear`."""
    if is_terminal(sys.stderr):
        say(f"        {name} …\r", nl=False)


def _clear() -> None:
    if is_terminal(sys.stderr):
        say("\r\x1b[K", nl=False)
