"""What a file's name says of its version and kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.simple.names import parse
from gateway.policy.facts import kind_of, version_of

PART = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
VERSION = st.from_regex(
    r"([1-9]!)?[0-9]{1,3}(\.[0-9]{1,3}){0,3}((a|b|rc)[0-9])?(\.post[0-9])?(\.dev[0-9])?", fullmatch=True
)
ENDINGS = ["-py3-none-any.whl", "-1-cp312-cp312-manylinux_2_17_x86_64.whl", ".tar.gz", ".zip", ".tgz", "-py3.9.egg"]


@given(PART, PART, VERSION, st.sampled_from(ENDINGS))
def test_the_version_is_that_of_the_release(one: str, two: str, version: str, ending: str) -> None:
    for name in (f"{one}_{two}-{version}{ending}", f"{one}-{version}+local.1{ending}"):
        release = parse(name)
        assert version_of(name) == (release.version if release is not None else None)


@pytest.mark.parametrize("name", ["p.whl", "p-1.whl", "p-x-py3-none-any.whl", "p.tar.gz", "p-1" + "0" * 200 + ".zip"])
def test_none_can_be_told(name: str) -> None:
    assert version_of(name) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("p-1-py3-none-any.whl", "wheel"),
        ("p-1.tar.gz", "sdist"),
        ("p-1.tar.Z", "sdist"),
        ("p-1-py3.9.egg", "other"),
        ("p-1.win32.exe", "other"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert kind_of(name) == kind
