"""A listing as clients get it."""

import base64
import hashlib
import json
import re

from gateway.website.forms import Form
from gateway.website.listing import Entry, Listing
from gateway.website.listing_forms import PAGE_HEADERS, next_page, render

EVIL = "<img src=x>&\"'.txt"
LISTING = Listing((Entry("sub", True), Entry("a b.txt", False, 1_234_567, 1_700_000_000.9), Entry(EVIL, False)), "é &/")


def html(path: str = "/docs/", listing: Listing = LISTING, named: str = "") -> str:
    return render(Form.HTML, path, listing, named).decode()


def test_as_json() -> None:
    assert json.loads(render(Form.JSON, "/docs/", LISTING, "json")) == {
        "path": "/docs/",
        "entries": [
            {"name": "sub", "type": "directory", "href": "./sub/"},
            {
                "name": "a b.txt",
                "type": "file",
                "href": "./a%20b.txt",
                "size": 1234567,
                "modified": "2023-11-14T22:13:20Z",
            },
            {
                "name": EVIL,
                "type": "file",
                "href": "./%3Cimg%20src%3Dx%3E%26%22%27.txt",
                "size": 0,
                "modified": "1970-01-01T00:00:00Z",
            },
        ],
        "next": "?format=json&after=%C3%A9%20%26%2F",
    }
    assert json.loads(render(Form.JSON, "/", Listing(()), ""))["next"] is None


def test_as_text() -> None:
    assert render(Form.TEXT, "/docs/", LISTING, "").decode().splitlines() == [
        "-\t-\tsub/",
        "2023-11-14T22:13:20Z\t1234567\ta b.txt",
        f"1970-01-01T00:00:00Z\t0\t{EVIL}",
    ]


def test_as_a_page() -> None:
    page = html()
    assert "<h1>Index of /docs/</h1>" in page
    assert '<a href="./sub/">sub/</a></td><td></td><td></td>' in page
    assert '<a href="./a%20b.txt">a b.txt</a></td><td>1.2 MB</td><td>2023-11-14 22:13</td>' in page
    assert '<a href="../">' in page
    assert '<a href="../">' not in html("/")
    assert "prefers-color-scheme:dark" in page


def test_names_are_text_in_the_page() -> None:
    page = html('/<b>"&/')
    assert "<img" not in page
    assert "&lt;img src=x&gt;&amp;&quot;&#x27;.txt</a>" in page
    assert "<h1>Index of /&lt;b&gt;&quot;&amp;/</h1>" in page


def test_the_link_to_the_next_page_keeps_the_form() -> None:
    assert next_page(LISTING.last, "") == "?after=%C3%A9%20%26%2F"
    assert next_page(LISTING.last, "text") == "?format=text&after=%C3%A9%20%26%2F"
    assert next_page("", "text") == ""
    assert '<a rel="next" href="?format=html&amp;after=%C3%A9%20%26%2F">' in html(named="html")
    assert "rel=" not in html(listing=Listing(LISTING.entries)).replace('rel="icon"', "")


def test_nothing_but_its_own_style_applies_to_the_page() -> None:
    [style] = re.findall(r"<style>(.*?)</style>", html(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = PAGE_HEADERS["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "<script" not in html()


def test_sizes_are_short() -> None:
    sizes = {
        0: "0 B",
        999: "999 B",
        1000: "1.0 kB",
        9949: "9.9 kB",
        9951: "10 kB",
        999_499: "999 kB",
        999_500: "1.0 MB",
    }
    for size, text in sizes.items():
        assert f"<td>{text}</td>" in html(listing=Listing((Entry("x", False, size),)))
