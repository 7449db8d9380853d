"""A login leads back to the gateway, never to another site."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.login.local_path import local_path


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/simple/acme/",
        "/project/acme/?q=a%20b&r=//x",
        "/a/",
        "/x?next=https://other.example/",
        "/%2f%2fx",
        "/a/../b",
        "/" + "x" * 1023,
    ],
)
def test_paths_are_kept(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "simple/",
        "?x",
        "#x",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "/ /evil.example",
        "/a//evil.example",
        "/.//evil.example",
        "/a\\b",
        "/x?\\",
        "/x?a b",
        "/x?\r\nSet-Cookie: a=b",
        "/x?\x00",
        "/é",
        "/x?é",
        "https://evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/" + "x" * 1024,
    ],
)
def test_anything_else_leads_to_the_start(path: str) -> None:
    assert local_path(path) == "/"


@given(st.text(st.sampled_from("/\\.\t\n\r :@?#aé%"), max_size=12) | st.text())
def test_no_text_leads_elsewhere(text: str) -> None:
    """As browsers read it: they drop tabs and line breaks, and take a backslash for a slash."""
    path = local_path(text).replace("\t", "").replace("\n", "").replace("\r", "").strip().replace("\\", "/")
    assert urlsplit(urljoin("https://gateway.example/login", path)).netloc == "gateway.example"
