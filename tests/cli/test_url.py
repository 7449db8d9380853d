"""`gateway url`: what it prints, and what it notes beside it."""

import urllib.request
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.support.bucket import Bucket

pytestmark = pytest.mark.usefixtures("logging_stays")


@pytest.fixture
def arguments(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    bucket.put("arrow/a b.whl", b"content")
    bucket.put("arrow/index.html", b"<a>")
    return [part for name, value in bucket.settings().items() for part in ("--set", f"{name}={value}")]


def fetch(url: str, method: str = "GET") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=20) as answer:
        body: bytes = answer.read()
        return body


def test_the_url_opens_the_object(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for path, body in [("/arrow/a%20b.whl", b"content"), ("arrow/a%20b.whl", b"content"), ("/arrow/", b"<a>")]:
        assert main(["url", path, *arguments]) == 0
        said = capsys.readouterr()
        assert (fetch(said.out.strip()), said.err) == (body, "")


def test_method_and_expiry_are_signed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["url", "/arrow/a%20b.whl", "--method", "HEAD", "--expires", "60", *arguments]) == 0
    url = capsys.readouterr().out.strip()
    assert "X-Amz-Expires=60&" in url
    assert fetch(url, "HEAD") == b""


def test_it_goes_by_the_rewrite_rules(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    rules = ["--set", "server.base_path=/team", "--set", "rewrite.strip_prefix=/pypi"]
    assert main(["url", "/team/pypi/arrow/a%20b.whl", *arguments, *rules]) == 0
    assert fetch(capsys.readouterr().out.strip()) == b"content"
    assert main(["url", "/elsewhere/a", *arguments, *rules]) == 1
    assert "outside server.base_path" in capsys.readouterr().err


def test_what_is_wrong_with_the_object_is_noted_beside(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["url", "/nope.whl", *arguments]) == 1
    said = capsys.readouterr()
    assert "/nope.whl?X-Amz-" in said.out
    assert "'nope.whl' can't be read: 404 NoSuchKey" in said.err
    assert main(["url", "/a", *arguments, "--set", "storage.aws_secret_access_key=wrong"]) == 1
    assert "SignatureDoesNotMatch" in capsys.readouterr().err


def test_a_directory_has_no_urls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["url", "/k", "--dir", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert (said.out, "has no URLs" in said.err) == ("", True)


@pytest.mark.parametrize("path", ["/../secret", "/%zz"])
def test_a_path_that_the_gateway_would_refuse_is_refused(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["url", path, "--dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("gateway url: ")
