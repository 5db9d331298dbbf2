"""`wheelrun init`."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from wheelrun.cli.console import INDENT, out, say
from wheelrun.cli.options import Verb, options
from wheelrun.errors import ConfigurationError, UsageError, nearest

_PLACEHOLDER = "{{name}}"
_FILLED = ".in"  # the ending of text files in which the placeholder stands
_DEFAULT = "weather"


@click.command("init", cls=Verb, short_help="Write a new project from a template.")
@click.argument("directory", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@options(click.option("--template", metavar="NAME", default=_DEFAULT, show_default=True, help="The template."))
def command(directory: Path, template: str) -> None:
    """Write a new project into DIR (by default the working directory), which must be empty or not there."""
    source = _template(template)
    target = directory.expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigurationError(
            f"{target} is not an empty folder", hint="name another folder: wheelrun init DIR; nothing was written"
        )
    written = _write(source, target, _module_name(target.name))
    for path in written:
        out(path.relative_to(target).as_posix())
    say(f"wrote {len(written)} files to {target}; next:")
    if target != Path.cwd():
        say(f"{INDENT}cd {shlex.quote(str(directory))}")
    say(f"{INDENT}{_next_command(target)}")


def _template(name: str) -> Path:
    from wheelrun.packaging.templates import template_root

    folder = template_root() / "projects"
    known = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if name not in known:
        near = nearest(name, known)
        raise UsageError(
            f"there is no template {name!r}",
            hint=f"did you mean {near!r}?" if near else f"known templates: {', '.join(known) or 'none'}",
        )
    return folder / name


def _module_name(folder: str) -> str:
    """Return a folder's name as a Python name: `My Weather` gives `my_weather`."""
    import keyword
    import re

    name = re.sub(r"\W+", "_", folder.lower(), flags=re.ASCII).strip("_") or "project"
    return f"project_{name}" if name[0].isdigit() or keyword.iskeyword(name) else name


def _write(source: Path, target: Path, name: str) -> list[Path]:
    """Copy a template, or nothing of it."""
    existed = target.exists()
    written = []
    try:
        for path in _files(source):
            relative = path.relative_to(source).as_posix().replace(_PLACEHOLDER, name)
            place = target / relative.removesuffix(_FILLED)
            place.parent.mkdir(parents=True, exist_ok=True)
            if relative.endswith(_FILLED):
                text = path.read_text(encoding="utf-8").replace(_PLACEHOLDER, name)
                place.write_text(text, encoding="utf-8")
                place.chmod(path.stat().st_mode & 0o777 | 0o200)
            else:
                shutil.copy(path, place)
            written.append(place)
    except BaseException:
        for child in target.iterdir() if target.is_dir() else ():
            if child.is_dir():
                shutil.rmtree(child, ignore_errors=True)
            else:
                child.unlink(missing_ok=True)
        if not existed and target.is_dir():
            target.rmdir()
        raise
    return written


def _files(source: Path) -> Iterator[Path]:
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _next_command(target: Path) -> str:
    """Return the command that the template's README begins with, else a general one."""
    readme = target / "README.md"
    if readme.is_file():
        for line in readme.read_text(encoding="utf-8").splitlines():
            command_line = line.strip().removeprefix("$ ")
            if command_line.startswith("wheelrun submit "):
                return command_line
    return "wheelrun build --explain"
