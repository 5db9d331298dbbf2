"""Output in files of its own, and still where it would have gone; in processes whose output it is."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

START = """
    import io, os, subprocess, sys
    from pathlib import Path
    from wheelrun.runtime.own_streams import written_to
    kernel = None
    """
KERNEL = """
    class Kernel(io.StringIO):
        def fileno(self): raise io.UnsupportedOperation
    kernel = sys.stdout = Kernel()
    """
BODY = """
    print("before")
    with written_to(Path("out"), Path("err")) as pass_on:
        print("printed")
        os.write(1, b"written\\n")
        subprocess.run([sys.executable, "-c", "print('of a child')"])
        print("to stderr", file=sys.stderr)
        pass_on()
        sys.stdout.write("the last")
    print("after")
    if kernel is not None:
        os.write(1, repr(kernel.getvalue()).encode())
    """


def run(folder, *pieces):
    code = "\n".join(textwrap.dedent(piece) for piece in pieces)
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)


def test_a_plain_process(tmp_path):
    done = run(tmp_path, START, BODY)
    assert (tmp_path / "out").read_text() == "printed\nwritten\nof a child\nthe last"
    assert (tmp_path / "err").read_text() == "to stderr\n"
    assert done.stdout == "before\nprinted\nwritten\nof a child\nthe lastafter\n"
    assert done.stderr == "to stderr\n"


def test_a_kernel_that_has_an_object_in_the_place_of_stdout(tmp_path):
    done = run(tmp_path, START, KERNEL, BODY)
    assert (tmp_path / "out").read_text() == "printed\nwritten\nof a child\nthe last"
    assert eval(done.stdout) == "before\nprinted\nwritten\nof a child\nthe lastafter\n"


def test_what_the_users_code_closes_does_not_matter(tmp_path):
    body = """
        with written_to(Path("out"), Path("err")):
            print("printed")
            sys.stdout.close()
        """
    run(tmp_path, START, body)
    assert (tmp_path / "out").read_text() == "printed\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_files_are_their_owners(tmp_path, stream):
    run(tmp_path, START, BODY)
    assert (tmp_path / stream[3:]).stat().st_mode & 0o077 == 0
