"""Inputs that are known to reach far, and those that once broke something, through the harnesses of `make fuzz`."""

import pytest

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.harnesses import HARNESSES

INPUTS = sorted(path for path in CORPUS.rglob("*") if path.is_file())


def test_every_harness_has_a_corpus() -> None:
    assert {path.parent.name for path in INPUTS} == set(HARNESSES)


@pytest.mark.parametrize("name", [f"{path.parent.name}/{path.name}" for path in INPUTS])
def test_no_input_breaks_a_harness(name: str) -> None:
    HARNESSES[name.partition("/")[0]]((CORPUS / name).read_bytes())
