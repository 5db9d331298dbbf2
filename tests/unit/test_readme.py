"""What the README says of the code is so."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from wheelrun.orchestrators.contract import Capabilities
from wheelrun.orchestrators.matrix import ROWS, matrix

README = Path(__file__).parent.parent.parent / "README.md"


def test_the_table_of_orchestrators_is_the_one_that_their_capabilities_give():
    assert matrix() in README.read_text(encoding="utf-8"), f"put this table into README.md:\n{matrix()}"


def test_every_capability_has_a_row():
    assert set(ROWS) | {"strict_resources"} == {field.name for field in fields(Capabilities)}
