"""Where a page of a site may send its clients."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.target import location
from gateway.website.references import permitted_redirect, relative

HOSTS = frozenset({"www.example.org", "other.example:8443"})


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("/", "/a", "./a"),
        ("/a", "/b", "./b"),
        ("/a/", "/b/", "../b/"),
        ("/a/b/c", "/d?x=/y#z", "../../d?x=/y#z"),
        ("/a//b", "/d", "../../d"),
        ("/a/b", "/", "../"),
        ("/a", "/", "./"),
        ("/a", "/javascript:x", "./javascript:x"),
        ("/a", "//host/x", "./host/x"),
    ],
)
def test_a_reference_is_relative(path: str, target: str, expected: str) -> None:
    assert relative(path, target) == expected


@given(
    path=st.from_regex(r"(/[a-z]{1,3}){0,4}/", fullmatch=True),
    target=st.from_regex(r"(/[a-z:@]{1,5}){1,4}/?", fullmatch=True),
)
def test_a_reference_leads_to_its_target_below_any_path_of_a_proxy(path: str, target: str) -> None:
    base = "https://host.example/behind/a/proxy"
    assert urljoin(base + path, relative(path, target)) == base + target
    assert urljoin(f"{base}{path}page", relative(f"{path}page", target)) == base + target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/new.html", "../new.html"),
        ("/", "../"),
        ("/new%20page?a=b#c", "../new%20page?a=b#c"),
        ("https://www.example.org/x?y", "https://www.example.org/x?y"),
        ("http://WWW.example.org", "http://WWW.example.org"),
        ("https://other.example:8443/", "https://other.example:8443/"),
        ("https://other.example/", None),
        ("https://www.example.org:8443/", None),
        ("https://evil.example/", None),
        ("https://www.example.org@evil.example/", None),
        ("https://user@www.example.org/", None),
        ("https://www.example.org\\@evil.example/", None),
        ("https:www.example.org/", None),
        ("https:///www.example.org/", None),
        ("ftp://www.example.org/", None),
        ("//evil.example/", None),
        ("///evil.example/", None),
        ("/\\evil.example/", None),
        ("\\\\evil.example/", None),
        ("/\t/evil.example/", None),
        ("/\n/evil.example/", None),
        (" /new.html", None),
        ("javascript:alert(1)", None),
        ("JavaScript:alert(1)", None),
        ("data:text/html,x", None),
        ("new.html", None),
        ("", None),
        ("?x", None),
        ("/a/../../b", None),
        ("/a/%2e%2e/b", None),
        ("/%zz", None),
        ("/new\r\nSet-Cookie: a=b", None),
        ("/new\x85", None),
        ("http://[", None),
        ("/old/page", None),  # where the client is
        ("/old/p%61ge#there", None),
        ("/old/page?again", None),
    ],
)
def test_an_object_redirects_within_the_site_or_to_a_permitted_host(text: str, expected: str | None) -> None:
    assert permitted_redirect("/old/page", text, HOSTS) == expected


@given(st.text(alphabet="/\\:@?#.%ahtps2e\t\n \x00é", max_size=20))
def test_nothing_leads_off_the_site(text: str) -> None:
    """As a browser reads it."""
    target = permitted_redirect("/old/page", text, frozenset())
    if target is None:
        return
    assert urlsplit(urljoin("https://site.example/old/page", location(target))).netloc == "site.example"
    assert not target.startswith(("/", "\\"))
