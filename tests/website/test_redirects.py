"""The table of redirects."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.target import location
from gateway.website.redirects import Entry, RedirectTable

TABLE = RedirectTable(
    [
        Entry("/exact", "/new", 301),
        Entry("/docs/*.htm", "/manual/*.html", 308),
        Entry("/docs/*", "/manual/*?from=docs#top", 302),
        Entry("/docs/late", "/never", 301),
        Entry("/docs/*", "/never", 301),
        Entry("/early/one", "/first", 307),
        Entry("/early/*", "https://www.example.org/early/*", 307),
        Entry("/tail/*", "/*", 301),
        Entry("/chat", "https://chat.example.org/?room=1", 302),
        Entry("*.php", "/gone", 302),
        Entry("/é *", "/ü/*", 301),
        Entry("/find/*", "/search?q=*&exact=1", 302),
    ]
)


@pytest.mark.parametrize(
    ("path", "query", "to", "status"),
    [
        ("/exact", "", "./new", 301),
        ("/exact", "a=b", "./new?a=b", 301),
        ("/docs/a.htm", "", "../manual/a.html", 308),
        ("/docs/a/b.htm", "x", "../../manual/a/b.html?x", 308),
        ("/docs/", "", "../manual/?from=docs#top", 302),
        ("/docs/late", "x=1&y=2", "../manual/late?from=docs&x=1&y=2#top", 302),
        ("/docs/a b?c#d%", "", "../manual/a%20b%3Fc%23d%25?from=docs#top", 302),
        ("/early/one", "", "../first", 307),
        ("/early/two", "", "https://www.example.org/early/two", 307),
        ("/early//evil.example", "", "https://www.example.org/early//evil.example", 307),
        ("/tail//evil.example/x", "", "../../../evil.example/x", 301),
        ("/tail/\\evil.example", "", "../%5Cevil.example", 301),
        ("/chat", "a=b", "https://chat.example.org/?room=1&a=b", 302),
        ("/any/where.php", "", "../gone", 302),
        ("/é x", "", "./ü/x", 301),
        ("/find/a&exact=0 c++;d/e", "x=y", "../../search?q=a%26exact%3D0%20c%2B%2B%3Bd/e&exact=1&x=y", 302),
    ],
)
def test_the_first_that_fits_applies(path: str, query: str, to: str, status: int) -> None:
    found = TABLE.find(path, query)
    assert found is not None
    assert (found.location, found.status) == (to, status)


@pytest.mark.parametrize("path", ["/", "/exact/", "/Exact", "/x/exact", "/docs", "/other", "/chat/"])
def test_a_pattern_fits_the_whole_path(path: str) -> None:
    assert TABLE.find(path, "") is None


def test_a_star_does_not_match_the_same_text_twice() -> None:
    table = RedirectTable([Entry("/aba*ba", "/x", 301)])
    assert table.find("/aba", "") is None
    assert table.find("/ababa", "") is not None


@given(
    path=st.text(alphabet="/\\:@?#.%a\t\n é", max_size=12).map(lambda text: f"/go{text}"),
    query=st.text(alphabet="/?#&=a%\n ", max_size=8),
    to=st.sampled_from(["/*", "/to*", "/to/*", "/?next=*", "https://www.example.org/*", "https://www.example.org/?*"]),
)
def test_no_path_leads_to_another_host(path: str, query: str, to: str) -> None:
    found = RedirectTable([Entry("/go*", to, 302)]).find(path, query)
    assert found is not None
    sent = location(found.location)
    assert "\n" not in sent
    home = "www.example.org" if to.startswith("https") else "site.example"
    assert urlsplit(urljoin(f"https://site.example{location(path)}", sent)).netloc == home


@pytest.mark.parametrize(
    ("entries", "pattern"),
    [
        ([("/a", "/a")], "/a"),
        ([("/a", "/b"), ("/b", "/a")], "/a"),
        ([("/x", "/a"), ("/a", "/b"), ("/b", "/a?x=y#z")], "/x"),
        ([("/docs/*", "/docs/v2/*")], "/docs/*"),
        ([("*", "/index.html")], "*"),
        ([("/ä", "/%C3%A4")], "/ä"),
        ([("/a", "/b"), ("/b", "/c")], None),
        ([("/docs/v2/*", "/new/*"), ("/docs/*", "/docs/v2/*")], None),
        ([("/a", "https://site.example/a")], None),
        ([], None),
    ],
)
def test_what_never_ends_is_found(entries: list[tuple[str, str]], pattern: str | None) -> None:
    assert RedirectTable([Entry(path, to, 301) for path, to in entries]).endless() == pattern
