import string
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.simple import names
from gateway.index.simple.names import is_companion, is_release_of, normalize, parse

MANY_TAGS = ".".join(string.ascii_lowercase)


@pytest.mark.parametrize("name", ["My.Project", "my_project", "my-project", "MY--PROJECT", "my._-project"])
def test_names_that_mean_the_same_are_one(name: str) -> None:
    assert normalize(name) == "my-project"


@pytest.mark.parametrize(
    ("filename", "project", "version"),
    [
        ("arrow-0.12.1-py2.py3-none-any.whl", "arrow", "0.12.1"),
        ("My_Project-1.0-1-cp311-cp311-manylinux_2_17_x86_64.whl", "my-project", "1.0"),
        ("arrow-0.12.1.tar.gz", "arrow", "0.12.1"),
        ("my-project-1.0.tar.gz", "my-project", "1.0"),
        ("my.project-1.0rc1.zip", "my-project", "1.0rc1"),
        ("my-project-1.0.tar.bz2", "my-project", "1.0"),
        ("my-project-1.0.tgz", "my-project", "1.0"),
        ("my_project-1.0-py3.11.egg", "my-project", "1.0"),
        ("my_project-1.0-py2.7-linux-x86_64.egg", "my-project", "1.0"),
        ("my-project-1.0.win32-py2.7.exe", "my-project", "1.0"),
        ("my-project-1.0.win-amd64.msi", "my-project", "1.0"),
        ("my-project-1.0-1.noarch.rpm", None, None),
        ("arrow-1!2.0+local.1.tar.gz", "arrow", "1!2.0+local.1"),
        ("arrow-not-a-version.tar.gz", None, None),
        ("arrow.whl", None, None),
        ("index.html", None, None),
        ("README.txt", None, None),
        ("", None, None),
        (".whl", None, None),
        ("arrow-1.0---.whl", None, None),
        ("arrow-1.0-py3-none-.whl", None, None),
        (f"arrow-1.0-{MANY_TAGS}-{MANY_TAGS}-{MANY_TAGS}.whl", "arrow", "1.0"),
        (f"arrow-{'1' * 5000}.tar.gz", None, None),
        ("-1.0.tar.gz", None, None),
    ],
)
def test_what_a_files_name_says(filename: str, project: str | None, version: str | None) -> None:
    release = parse(filename)
    assert (release and release.project, release and str(release.version)) == (project, version)


def test_compressed_tags_are_not_multiplied_out() -> None:
    """They stand for 17,000 tags, and a page may list 100,000 such wheels."""
    tracemalloc.start()
    try:
        parse(f"arrow-2.0-{MANY_TAGS}-{MANY_TAGS}-{MANY_TAGS}.whl")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("my_project-1.0.tar.gz", True),
        ("My.Project-1.0-1-py3-none-any.whl", True),
        ("my_project-1!2.0+local.1.zip", True),
        ("bar-9.9-py3-none-any.whl", False),
        ("my_project_extra-1.0.tar.gz", False),
        ("index.html", False),
        ("my_project-1.0.tar.gz.yanked", False),
        ("my_project-1.0.tar.gz.metadata", False),
        ("my_project-1.0\n.tar.gz", False),
        ("my_project-1.0-1/../../evil/x-py3-none-any.whl", False),
        ("my_project-1.0-py3-none-../any.whl", False),
        ("my_project-1.0-py3-none-\ud800.whl", False),
        (".my_project-1.0.tar.gz", False),
    ],
)
def test_a_release_is_told_by_its_own_name(filename: str, expected: bool) -> None:
    assert is_release_of("my-project", filename) is expected


@given(st.text())
def test_no_name_breaks_it(filename: str) -> None:
    for suffix in ("", ".whl", ".tar.gz", ".zip", ".egg", ".exe", ".tgz"):
        parse(filename + suffix)


def test_companions_are_told_by_their_suffix() -> None:
    assert is_companion("arrow-1.0-py3-none-any.whl.metadata")
    assert not is_companion("arrow-1.0-py3-none-any.whl")


@pytest.mark.parametrize(
    "filename", ["p-1" + ".win" * 60, "p-1" + ".win" * 60 + "\n.exe", "p" + "-1-win" * 40 + "\n.exe"]
)
def test_a_name_that_is_nearly_an_installer_s_takes_no_time(filename: str) -> None:
    """A page may list 50,000 of them, which took half a minute."""
    started = time.process_time()
    for number in range(20_000):
        parse(f"{number}{filename}"[:255])
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("name", "may_be"),
    [("a", True), ("a-b2", True), ("x" * 128, True), ("x" * 129, False), ("", False), ("-a", False), ("A", False)],
)
def test_which_names_a_project_may_have(name: str, may_be: bool) -> None:
    assert names.is_project_name(name) is may_be


@pytest.mark.parametrize(
    ("name", "hidden"), [(".env", True), ("a\x00b", True), ("a\x9f", True), ("a.env", False), ("a b", False)]
)
def test_which_names_no_request_can_ask_for(name: str, hidden: bool) -> None:
    assert names.is_hidden(name) is hidden


def test_a_name_of_any_length_is_normalised() -> None:
    assert names.normalize("A_" * 1000 + "b") == "a-" * 1000 + "b"


def test_the_longest_name_that_a_file_can_have_is_read() -> None:
    rest = "-1.0.tar.gz"
    assert names.parse("x" * (255 - len(rest)) + rest) is not None
    assert names.parse("x" * (256 - len(rest)) + rest) is None
