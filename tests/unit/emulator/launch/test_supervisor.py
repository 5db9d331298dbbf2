"""The supervisor of a task: what it writes down, and that nothing outlives it or the emulator."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path

import pytest
from waiting import until

from wheelrun.emulator.compute.processes import run
from wheelrun.emulator.launch.supervisor import Order
from wheelrun.errors import ClusterError
from wheelrun.runtime.bootstrap import python_command


@pytest.fixture
def order(tmp_path):
    def make(code, **options):
        return Order(
            command=[sys.executable, "-c", textwrap.dedent(code)],
            environ={"PATH": os.defpath, "MINE": "ä"},
            cwd=str(tmp_path),
            logs=str(tmp_path),
            **options,
        )

    return make


def never():
    return False


def is_alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def text_of(path):
    return path.read_text() if path.exists() else ""


def test_what_a_process_is_given_and_answers(order, tmp_path):
    code = """
        import os, sys
        payload, report = map(int, sys.argv[1:])
        os.write(report, os.read(payload, 100).upper())
        print(os.environ["MINE"], sorted(os.environ) == ["LC_CTYPE", "MINE", "PATH"], os.getcwd(), sys.stdin.read())
        sys.exit(3)
    """
    ended = run(order(code, payload="said"), never)
    assert (ended.code, ended.report, ended.stopped) == (3, "SAID", False)
    assert (tmp_path / "stdout").read_text() == f"ä True {tmp_path} \n"
    assert (tmp_path / "stdout").stat().st_mode & 0o777 == 0o600


def test_a_process_with_a_channel(order):
    code = """
        import socket, sys
        with socket.socket(fileno=int(sys.argv[-1])) as channel:
            channel.sendall(channel.recv(100).upper())
    """
    own, theirs = socket.socketpair()
    with own:
        own.sendall(b"hello")
        assert run(order(code), never, theirs).code == 0
        assert (own.recv(100), own.recv(100)) == (b"HELLO", b"")
    assert theirs.fileno() == -1


def test_a_later_process_appends(order, tmp_path):
    for word in ("one", "two"):
        run(order(f"print('{word}')"), never)
    assert (tmp_path / "output").read_text() == "one\ntwo\n"


def test_much_output_is_whole(order, tmp_path):
    run(order("import sys\nfor _ in range(3000): print('x' * 999); print('y' * 99, file=sys.stderr)"), never)
    sizes = {name: (tmp_path / name).stat().st_size for name in ("stdout", "stderr", "output")}
    assert sizes == {"stdout": 3_000_000, "stderr": 300_000, "output": 3_300_000}


def test_a_daemon_does_not_outlive_its_task(order, tmp_path):
    code = """
        import os, subprocess
        child = subprocess.Popen(["sh", "-c", "setsid sleep 600 & echo $!"], stdout=subprocess.PIPE)
        print(child.stdout.readline().decode(), end="")
    """
    ended = run(order(code), never)
    assert ended.code == 0
    assert not is_alive(int((tmp_path / "stdout").read_text()))


def test_who_does_not_end_is_killed(order, tmp_path):
    code = """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(600)
    """
    ended = run(order(code, grace=0.2), lambda: text_of(tmp_path / "stdout") == "ready\n")
    assert (ended.code, ended.stopped) == (-signal.SIGKILL, True)


def test_a_program_that_is_not_there(tmp_path):
    order = Order(command=[str(tmp_path / "none")], environ={}, cwd=str(tmp_path), logs=str(tmp_path))
    with pytest.raises(ClusterError, match="No such file"):
        run(order, never)


def test_an_emulator_that_is_killed_takes_its_tasks_along(order, tmp_path):
    made = order("import os, time; print(os.getpid(), flush=True); time.sleep(600)", grace=1.0)
    code = f"""
        import json
        from wheelrun.emulator.compute.processes import run
        from wheelrun.emulator.launch.supervisor import Order
        run(Order(**json.loads({json.dumps(asdict(made))!r})), lambda: False)
    """
    emulator = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    until(lambda: text_of(tmp_path / "stdout").endswith("\n"))
    task = int((tmp_path / "stdout").read_text())
    assert is_alive(task)
    emulator.kill()
    emulator.wait()
    until(lambda: not is_alive(task))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_supervisor_that_is_killed_takes_its_task_along(order, tmp_path):
    made = order("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    supervisor = subprocess.Popen(
        python_command("wheelrun.emulator.launch.supervisor"), stdin=subprocess.PIPE, start_new_session=True
    )
    supervisor.stdin.write(json.dumps(asdict(made)).encode() + b"\n")
    supervisor.stdin.flush()
    until(lambda: text_of(tmp_path / "stdout").endswith("\n"))
    supervisor.kill()
    supervisor.communicate()
    until(lambda: not is_alive(int((tmp_path / "stdout").read_text())))
