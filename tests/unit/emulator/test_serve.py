from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHILD = [sys.executable, "-c", "import os, signal, sys; os.setsid(); print(os.getpid(), flush=True); signal.pause()"]


def test_nothing_that_it_started_is_left(tmp_path):
    """It is served in a process of its own, since what it does in the end is to end all that is below it."""
    script = f"""
import os, signal, subprocess
from pathlib import Path
from wheelrun.emulator.folder import Folder, Order
from wheelrun.emulator.serve import serve

def ready(standing):
    child = subprocess.Popen({CHILD!r}, stdout=subprocess.PIPE)
    print(child.stdout.readline().decode().strip(), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

serve(Folder(Path({str(tmp_path)!r})), Order(address="127.0.0.1"), on_ready=ready)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert not _lives(int(done.stdout))


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False
