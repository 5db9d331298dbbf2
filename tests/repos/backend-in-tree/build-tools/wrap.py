from pathlib import Path

from setuptools.build_meta import *  # noqa: F403
from setuptools.build_meta import build_wheel as _build_wheel


def build_wheel(*args, **options):
    Path("wrapped/stamp.txt").write_text("made while building")
    return _build_wheel(*args, **options)
