"""Keeping a run from leaning on the working tree."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from wheelrun.runtime.working_tree import hide, hint_for


def test_hide_takes_the_tree_off_the_path_and_leaves_environments_in_it(tmp_path, monkeypatch):
    tree, venv = tmp_path / "tree", tmp_path / "tree" / ".venv"
    (venv / "lib").mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    (tree / "src").mkdir()
    monkeypatch.chdir(tree)
    monkeypatch.setattr(sys, "path", ["", str(tree), str(tree / "src"), str(venv / "lib"), str(tmp_path), "/usr/lib"])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    hide(tree)
    assert sys.path == [str(venv / "lib"), str(tmp_path), "/usr/lib"]


def test_hide_takes_off_editable_finders_of_the_tree_only(tmp_path, monkeypatch):
    import types

    tree = tmp_path / "tree"
    (tree / "pkg").mkdir(parents=True)

    def finder(name, mapped):
        module = types.ModuleType(f"__editable___{name}_finder")
        module.MAPPING = {"pkg": str(mapped)}
        module.NAMESPACES = {}
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return type("_EditableFinder", (), {"__module__": module.__name__})

    mine, other = finder("mine", tree / "pkg"), finder("other", tmp_path / "other" / "pkg")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, mine, other])
    hide(tree)
    assert mine not in sys.meta_path
    assert other in sys.meta_path


def test_reads_from_the_tree_are_told_once(tmp_path):
    tree, wheel = tmp_path / "tree", tmp_path / "wheel"
    (tree / "jobs").mkdir(parents=True)
    (wheel / "jobs").mkdir(parents=True)
    (tree / "data.csv").write_text("1")
    (tree / "jobs" / "shipped.csv").write_text("2")
    (wheel / "jobs" / "shipped.csv").write_text("2")
    (tmp_path / "elsewhere").write_text("3")
    code = """
        import os, sys, time
        from pathlib import Path
        from wheelrun.runtime.working_tree import tell_reads
        time.sleep(0.01)
        os.chdir(sys.argv[1])
        tell_reads(Path(sys.argv[1]), [Path(sys.argv[2])], print)
        for _ in range(3): Path("data.csv").read_text()
        Path("jobs/shipped.csv").read_text()
        Path("../elsewhere").read_text()
        Path("new").write_text("x"); Path("new").read_text()
        os.close(os.open("data.csv", os.O_RDONLY))
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tree), str(wheel)], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == "data.csv was read from the working tree; it does not ship, so a cluster will not have it"
    assert second.startswith("jobs/shipped.csv was read from the working tree")
    assert "importlib.resources" in second


def test_hints_name_what_does_not_ship(tmp_path):
    tree, wheel = tmp_path / "tree", tmp_path / "wheel"
    (tree / "src" / "jobs").mkdir(parents=True)
    (tree / "extra.py").touch()
    (tree / "src" / "jobs" / "rules.yaml").touch()
    module = ModuleNotFoundError("No module named 'extra'", name="extra")
    assert "extra.py is in the working tree but does not ship" in hint_for(module, tree, [wheel])
    file = FileNotFoundError(2, "No such file", str(wheel / "jobs" / "rules.yaml"))
    assert "jobs/rules.yaml is in the working tree" in hint_for(file, tree, [wheel])
    assert hint_for(ModuleNotFoundError("x", name="numpy"), tree, [wheel]) is None
    assert hint_for(FileNotFoundError(2, "x", "/nowhere"), tree, [wheel]) is None
    assert hint_for(ValueError("x"), tree, [wheel]) is None
