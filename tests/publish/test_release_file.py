"""What an upload says about its file is in order, and of one mind."""

import re

import pytest
from packaging.version import Version

from gateway.errors import BadRequestError
from gateway.publish.release_file import ReleaseFile, release_file
from gateway.publish.rules import Rules

WHEEL, SDIST = "foo_bar-1.0-py3-none-any.whl", "foo_bar-1.0.tar.gz"
HEX = "0123456789ABCDEFabcdef" + "0" * 42
DIGEST = {"sha256_digest": HEX}


def read(filename: str, said: dict[str, str] | None = None, *skipped: str) -> ReleaseFile:
    fields = {name: [value] for name, value in (DIGEST | (said or {})).items()}
    return release_file(fields, filename, Rules.without(skipped))


def refused(filename: str, said: dict[str, str], why: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(filename, said)
    assert caught.value.public == f"Invalid upload: {why}"
    assert caught.value.detail.endswith(why)


@pytest.mark.parametrize(
    ("filename", "project", "version"),
    [
        (WHEEL, "foo-bar", "1.0"),
        (SDIST, "foo-bar", "1.0"),
        ("foo_bar-1.0+cu124-cp311-cp311-linux_x86_64.whl", "foo-bar", "1.0+cu124"),
        ("foo_bar-1!2.0rc1.post1.dev2-1build-py2.py3-none-any.whl", "foo-bar", "1!2rc1.post1.dev2"),
        ("Foo.Bar-1.0-py3-none-any.whl", "foo-bar", "1.0"),
        ("foo_bar-1.0+ubuntu.1.tar.gz", "foo-bar", "1.0+ubuntu.1"),
        ("a-1.tar.gz", "a", "1"),
        ("numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl", "numpy", "2.4.6"),
    ],
)
def test_names_of_files(filename: str, project: str, version: str) -> None:
    file = read(filename)
    assert (file.project, file.version, file.filename) == (project, Version(version), filename)
    assert file.digests == {"sha256": HEX.lower()}
    assert file.requires_python is None


def test_a_wheel_and_an_sdist() -> None:
    assert (read(WHEEL).is_wheel, read(WHEEL).stem) == (True, "foo_bar-1.0-py3-none-any")
    assert (read(SDIST).is_wheel, read(SDIST).stem) == (False, "foo_bar-1.0")


@pytest.mark.parametrize(
    "filename",
    [
        "foo.whl",
        "foo-1.0.zip",
        "foo-1.0.tar.bz2",
        "foo-1.0.egg",
        "foo-1.0-py3-none-any.whl.metadata",
        "foo-1.0-py3-none-any.whl.sboms",
        "foo-1.0-py3-none-any.whl.sboms/a.json",
        "../foo-1.0.tar.gz",
        "a/foo-1.0.tar.gz",
        "foo\\-1.0.tar.gz",
        "foo-1.0 .tar.gz",
        "foo-1.0\n.tar.gz",
        "foo\0-1.0.tar.gz",
        "foo-1.0-py3-none-any/.whl",
        "foo-x-py3-none-any.whl",
        "foo-x.tar.gz",
        "-1.0.tar.gz",
        ".tar.gz",
        "fü-1.0.tar.gz",
        "f" * 250 + "-1.0.tar.gz",
        "f" * 129 + "-1.0.tar.gz",
        "foo-" + "1" * 5000 + ".tar.gz",
    ],
)
def test_names_of_other_files(filename: str) -> None:
    refused(filename, {}, "the file's name is not that of a wheel or an sdist (.tar.gz)")


def test_what_describes_a_file_has_a_name_in_a_directory_too() -> None:
    longest = f"foo_bar-1.0-py3-none-{'x' * 219}.whl"
    read(longest)
    refused(longest.replace("x.", "xx."), {}, "the file's name has over 244 characters")


@pytest.mark.parametrize("filename", ["Foo-1.0.tar.gz", "foo-bar-1.0.tar.gz", "foo.bar-1.0.tar.gz", "a__b-1.0.tar.gz"])
def test_names_of_old_sdists(filename: str) -> None:
    why = "an sdist is named name_of_project-version.tar.gz, in lower case (PEP 625) (rule sdist-name)"
    refused(filename, {}, why)
    assert read(filename, {}, "sdist-name").filename == filename


@pytest.mark.parametrize(
    "said",
    [
        {":action": "file_upload", "protocol_version": "1"},
        {":action": "", "protocol_version": "", "name": "", "version": "", "filetype": ""},
        {"name": "Foo.Bar", "version": "1"},
        {"name": "foo--bar", "version": "v1.0.0"},
        {"sha256_digest": "", "blake2_256_digest": HEX},
        {"md5_digest": HEX[:32]},
    ],
)
def test_what_agrees(said: dict[str, str]) -> None:
    assert read(WHEEL, said).project == "foo-bar"


def test_digests_by_their_algorithms() -> None:
    said = {"md5_digest": HEX[:32], "blake2_256_digest": HEX, "sha512_digest": "x"}
    expected = {"sha256": HEX.lower(), "blake2_256": HEX.lower(), "md5": HEX[:32].lower()}
    assert read(WHEEL, said).digests == expected


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({":action": "submit"}, "the only :action is file_upload"),
        ({"protocol_version": "2"}, "the protocol_version is 1"),
        ({"name": "other"}, "the file is not one of other, by its name"),
        ({"name": "x" * 200}, "the file is not one of " + "x" * 100 + ", by its name"),
        ({"version": "1.1"}, "the file is not one of version 1.1, by its name"),
        ({"version": "1.0+" + "x" * 200}, "the file is not one of version 1.0+" + "x" * 96 + ", by its name"),
        ({"version": "one"}, "the version is not one (PEP 440)"),
        ({"version": "1" * 256}, "the version is not one (PEP 440)"),
        ({"version": "1" * 5000}, "the version is not one (PEP 440)"),
        ({"version": "1" * 255}, "the file is not one of version " + "1" * 100 + ", by its name"),
        ({"filetype": "sdist"}, "the file is no sdist, by its name"),
        ({"filetype": "bdist_egg" + "x" * 100}, "the file is no bdist_egg" + "x" * 91 + ", by its name"),
        ({"sha256_digest": HEX[:-1]}, "sha256_digest is not one, in hexadecimal digits"),
        ({"sha256_digest": HEX + "0"}, "sha256_digest is not one, in hexadecimal digits"),
        ({"sha256_digest": HEX[:-1] + "g"}, "sha256_digest is not one, in hexadecimal digits"),
        ({"blake2_256_digest": "x"}, "blake2_256_digest is not one, in hexadecimal digits"),
        ({"md5_digest": HEX}, "md5_digest is not one, in hexadecimal digits"),
    ],
)
def test_what_contradicts(said: dict[str, str], why: str) -> None:
    refused(WHEEL, said, why)


def test_a_sdist_is_no_wheel() -> None:
    refused(SDIST, {"filetype": "bdist_wheel"}, "the file is no bdist_wheel, by its name")
    assert read(SDIST, {"filetype": "sdist"}).filename == SDIST
    assert read(WHEEL, {"filetype": "bdist_wheel"}).filename == WHEEL


def test_there_is_a_strong_digest() -> None:
    why = "the form has neither sha256_digest nor blake2_256_digest (rule digest)"
    refused(WHEEL, {"sha256_digest": "", "md5_digest": HEX[:32]}, why)
    assert read(WHEEL, {"sha256_digest": ""}, "digest").digests == {}


def test_requires_python_is_what_is_said_and_none_if_nothing_is() -> None:
    assert read(WHEEL, {"requires_python": " >=3.9 "}).requires_python == ">=3.9"
    assert read(WHEEL, {"requires_python": ""}).requires_python == ""


@pytest.mark.parametrize("name", [":action", "name", "sha256_digest", "requires_python"])
def test_a_field_has_one_value(name: str) -> None:
    with pytest.raises(BadRequestError, match=f"the form has several values of {name}"):
        release_file({"sha256_digest": [HEX], name: ["a", "b"]}, WHEEL, Rules())
    assert release_file({"name": ["foo-bar"] * 2, **{key: [HEX] for key in DIGEST}}, WHEEL, Rules()).project


def test_what_is_logged_is_short_and_plain() -> None:
    with pytest.raises(BadRequestError) as caught:
        read("\n" + "x" * 1000)
    assert re.fullmatch(r"'\\nx{199}': .*", caught.value.detail)
