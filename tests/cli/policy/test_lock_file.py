"""Lock files of pip, uv and poetry."""

import pytest

from gateway.cli.policy.lock_file import demands

REQUIREMENTS = b"""
# a comment
--index-url https://pypi.example/simple/
--require-hashes
-c constraints.txt
acme.web==1.0 ; python_version >= "3.8"   # why
requests[socks]==2.32.3 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
urllib3>=1,<3
local @ file:///tmp/local
"""
PYLOCK = b"""
lock-version = "1.0"
created-by = "pip"
[[packages]]
name = "acme-web"
version = "1.0"
wheels = [{name = "acme_web-1.0-py3-none-any.whl", url = "https://x/acme_web-1.0-py3-none-any.whl", hashes = {}}]
sdist = {url = "https://x/%61cme-web-1.0.tar.gz?a=b", hashes = {}}
[[packages]]
name = "local"
directory = {path = "."}
"""
UV = b"""
version = 1
[[package]]
name = "Acme_Web"
version = "1.0"
source = { registry = "https://pypi.example/simple/" }
sdist = { url = "https://x/acme_web-1.0.tar.gz", hash = "sha256:aa", size = 1 }
wheels = [{ url = "https://x/acme_web-1.0-py3-none-any.whl", hash = "sha256:bb" }]
[[package]]
name = "me"
version = "0"
source = { editable = "." }
"""
POETRY = b"""
[[package]]
name = "acme-web"
version = "1.0"
files = [{file = "acme_web-1.0-py3-none-any.whl", hash = "sha256:bb"}]
[[package]]
name = "here"
version = "1"
[package.source]
type = "git"
url = "https://x/y.git"
"""


def found(name: str, content: bytes) -> list[tuple[str, list[str]]]:
    return [(str(one), sorted(one.files)) for one in demands(name, content)]


def test_requirements() -> None:
    assert found("requirements.txt", REQUIREMENTS) == [
        ("acme-web==1.0", []),
        ("requests==2.32.3", []),
        ("urllib3<3,>=1", []),
    ]


@pytest.mark.parametrize(
    ("name", "content", "files"),
    [
        ("pylock.toml", PYLOCK, ["acme-web-1.0.tar.gz", "acme_web-1.0-py3-none-any.whl"]),
        ("uv.lock", UV, ["acme_web-1.0-py3-none-any.whl", "acme_web-1.0.tar.gz"]),
        ("poetry.lock", POETRY, ["acme_web-1.0-py3-none-any.whl"]),
    ],
)
def test_locks_name_files(name: str, content: bytes, files: list[str]) -> None:
    assert found(name, content) == [("acme-web==1.0", files)]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("requirements.txt", b"acme web", "requirement 1, 'acme web', can't be understood"),
        ("requirements.txt", b"\xff", "it is not UTF-8"),
        ("requirements.txt", b"acme\n -r other.txt", "line 2 leads to another file"),
        ("requirements.txt", b"--requirement=other.txt", "line 1 leads to another file"),
        ("uv.lock", b"[[package]]\nname = 'x/../y'\nversion = '1'", "a package has no name that is one"),
        ("uv.lock", b"[[", "it is not TOML"),
        ("uv.lock", b"x = 1", "it has no packages"),
        ("uv.lock", b"package = [1]", "it has no packages"),
        ("uv.lock", b"[[package]]\nversion = '1'", "a package has no name"),
        ("uv.lock", b"[[package]]\nname = 'x'", "the package 'x' has no version"),
        ("uv.lock", b"[[package]]\nname = 'x'\nversion = 'y z'", "the package 'x' has no version that is one"),
    ],
)
def test_what_can_t_be_understood(name: str, content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("(", r"\(")):
        demands(name, content)


@pytest.mark.parametrize(
    "files", ["wheels = 5", "wheels = 'x'", "wheels = [5]", "files = [{url = 5}]", "sdist = {url = []}"]
)
def test_files_that_are_none(files: str) -> None:
    assert found("uv.lock", f"[[package]]\nname = 'x'\nversion = '1'\n{files}".encode()) == [("x==1", [])]
