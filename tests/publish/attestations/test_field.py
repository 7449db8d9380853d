"""The field of the form, before anything in it is read."""

import pytest

from gateway.errors import BadRequestError
from gateway.publish.attestations.field import MAX_FIELD_BYTES, attestations_in, has_attestations


@pytest.mark.parametrize("values", [[], [""], ["[]"], [" []\n"], ["", "[]"]])
def test_an_empty_list_is_none(values: list[str]) -> None:
    assert not has_attestations({"attestations": values})
    assert attestations_in({"attestations": values}) == ""


def test_there_is_one_field_of_a_bounded_size() -> None:
    assert attestations_in({}) == ""
    most = "é" * (MAX_FIELD_BYTES // 2)
    assert attestations_in({"attestations": [most]}) == most
    for values, why in (([most + "x"], "larger than"), (["[1]", "[1]"], "more than once"), (["", "[1]"], "more than")):
        with pytest.raises(BadRequestError, match=why):
            attestations_in({"attestations": values})
