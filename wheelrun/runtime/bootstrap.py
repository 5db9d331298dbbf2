"""Starting a module of wheelrun in another process, which sees wheelrun and nothing of the working directory."""

from __future__ import annotations

import sys
from pathlib import Path

_CODE = "import sys; sys.path.pop(0); sys.path.append({folder!r}); from {module} import main; sys.exit(main())"


def python_command(module: str, *arguments: str, python: str | None = None, folder: str | None = None) -> list[str]:
    """Return the command that calls `main()` of a module of wheelrun.

    The working directory, which Python would put first on its path, is left out; the folder that holds wheelrun comes
    last, for a Python that has not got it installed.

    Args:
        module: The module's name.
        *arguments: What it sees as `sys.argv[1:]`.
        python: The Python; by default this process's.
        folder: The folder that holds wheelrun where the process runs, if that is not the one here.
    """
    folder = folder or str(Path(__file__).resolve().parent.parent.parent)
    return [python or sys.executable, "-c", _CODE.format(folder=folder, module=module), *arguments]
