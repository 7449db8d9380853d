import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.names import is_companion, normalize, parse


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
        ("-1.0.tar.gz", None, None),
    ],
)
def test_what_a_files_name_says(filename: str, project: str | None, version: str | None) -> None:
    release = parse(filename)
    assert (release and release.project, release and str(release.version)) == (project, version)


@given(st.text())
def test_no_name_breaks_it(filename: str) -> None:
    for suffix in ("", ".whl", ".tar.gz", ".zip", ".egg", ".exe", ".tgz"):
        parse(filename + suffix)


def test_companions_are_told_by_their_suffix() -> None:
    assert is_companion("arrow-1.0-py3-none-any.whl.metadata")
    assert not is_companion("arrow-1.0-py3-none-any.whl")
