from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

from wheelrun.runtime.shims import modules, write_shims


def test_the_top_level_modules_of_an_archive():
    names = ["flat.py", "fast.cpython-311-x86_64-linux-gnu.so", "stable.abi3.so", "package/__init__.py", "readme.txt"]
    names += ["space/deep/module.py", "package-1.0.dist-info/RECORD", "package.libs/libz.so.1"]
    assert modules(names) == ["fast", "flat", "package", "space", "stable"]


PYSPARK = """
class SparkFiles:
    @staticmethod
    def getRootDirectory(): return {root!r}
"""


@pytest.mark.parametrize("first", ["flat", "package.inner", "space.deep.module"])
def test_whichever_is_imported_first_the_unpacked_ones_are_found(tmp_path, first):
    folder = tmp_path / "dependencies"
    files = {
        "flat.py": "",
        "package/__init__.py": "from . import inner",
        "package/inner.py": "",
        "space/deep/module.py": "",
    }
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.extractall(folder)
    (tmp_path / "pyspark.py").write_text(PYSPARK.format(root=str(tmp_path)))
    shims = tmp_path / "shims.zip"
    write_shims(tmp_path / "bundle.zip", "dependencies", shims)
    code = f"""
import sys
sys.path[1:1] = [{str(shims)!r}, {str(tmp_path)!r}]
import {first}
import flat, package.inner, space.deep.module
for module in (flat, package, package.inner, space.deep.module):
    assert module.__file__.startswith({str(folder)!r}), module
assert sys.path[1] == {str(folder)!r} and {str(shims)!r} not in sys.path
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_module_that_cannot_be_imported_says_why(tmp_path):
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        archive.writestr("broken.py", "import nowhere")
        archive.extractall(tmp_path / "dependencies")
    (tmp_path / "pyspark.py").write_text(PYSPARK.format(root=str(tmp_path)))
    shims = tmp_path / "shims.zip"
    write_shims(tmp_path / "bundle.zip", "dependencies", shims)
    code = f"import sys; sys.path[1:1] = [{str(shims)!r}, {str(tmp_path)!r}]; import broken"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "ModuleNotFoundError: No module named 'nowhere'" in done.stderr
