"""Where the files are that wheelrun writes out: project scaffolds, setup.py, pages."""

from __future__ import annotations

from pathlib import Path

from wheelrun.errors import PackagingError

_PACKAGE = Path(__file__).resolve().parent.parent


def template_root() -> Path:
    """Return the folder of templates: beside the installed package, else the checkout's.

    Raises:
        PackagingError: The installation has no templates.
    """
    places = (_PACKAGE / "templates", _PACKAGE.parent / "templates")
    for place in places:
        if (place / "setup.py.in").is_file():
            return place
    raise PackagingError(
        f"wheelrun's templates are missing: neither {places[0]} nor {places[1]} holds setup.py.in",
        hint="Install wheelrun again.",
    )


def read_template(name: str) -> str:
    """Return the text of the template `name`, a posix path below the folder of templates."""
    return (template_root() / name).read_text(encoding="utf-8")
