import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.simple.negotiation import Form, choose, encoding_for, is_browser, takes_html

PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.HTML),
        ("*/*", Form.HTML),
        ("text/html", Form.HTML),
        ("text/*", Form.HTML),
        (BROWSER, Form.HTML),
        (PIP, Form.JSON_V1),
        ("application/vnd.pypi.simple.v1+html", Form.HTML_V1),
        ("application/vnd.pypi.simple.latest+json", Form.JSON_V1),
        ("application/vnd.pypi.simple.latest+html", Form.HTML_V1),
        ("application/vnd.pypi.simple.v1+json;q=0.2, text/html;q=0.5", Form.HTML),
        ("application/vnd.pypi.simple.v1+json;q=0.5, text/html;q=0.2", Form.JSON_V1),
        ("APPLICATION/VND.PYPI.SIMPLE.V1+JSON", Form.JSON_V1),
        ("application/*", Form.HTML_V1),
        ("text/html;q=0, */*", Form.HTML_V1),
        ("application/vnd.pypi.simple.v2+json", None),
        ("application/json", None),
        ("text/html;q=0", None),
        ("text/html;q=nonsense", None),
        ("text/html;q", None),
        ("text/html;q=1, application/vnd.pypi.simple.v1+json", Form.HTML),
        ("image/png", None),
    ],
)
def test_the_client_gets_what_it_likes_best(accept: str, form: Form | None) -> None:
    assert choose(accept) is form


@pytest.mark.parametrize(
    ("wanted", "form"),
    [
        ("application/vnd.pypi.simple.v1+json", Form.JSON_V1),
        ("application/vnd.pypi.simple.v1 json", Form.JSON_V1),
        ("text/html", Form.HTML),
        ("json", Form.JSON_V1),
        ("JSON", Form.JSON_V1),
        ("html", Form.HTML),
        ("xml", None),
        ("", None),
    ],
)
def test_a_format_in_the_query_beats_it(wanted: str, form: Form | None) -> None:
    assert choose("image/png", wanted) is form


def test_a_short_name_is_no_content_type() -> None:
    assert choose("json") is None
    assert choose("html, json") is None


def test_a_stored_page_will_do_for_who_takes_html_at_all() -> None:
    assert takes_html(PIP)
    assert takes_html("")
    assert not takes_html("application/vnd.pypi.simple.v1+json")
    assert not takes_html("text/html;q=0, application/vnd.pypi.simple.v1+json")


@pytest.mark.parametrize(
    ("accept", "will_do"),
    [
        (" ", True),
        ("text/html", True),
        ("text/*", True),
        ("*/*", True),
        ("application/vnd.pypi.simple.v1+html", True),
        ("application/vnd.pypi.simple.latest+html;q=0.1", True),
        ("application/vnd.pypi.simple.latest+json", False),
        ("text/html;q=0", False),
        ("image/png", False),
    ],
)
def test_which_clients_take_html(accept: str, will_do: bool) -> None:
    assert takes_html(accept) is will_do


@pytest.mark.parametrize(("accept", "browses"), [(BROWSER, True), (PIP, False), ("", False), ("*/*", False)])
def test_a_browser_is_told_by_xhtml(accept: str, browses: bool) -> None:
    assert is_browser(accept) is browses


@pytest.mark.parametrize(
    ("accept_encoding", "encoding"),
    [
        ("gzip, deflate, br", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=0.5, zstd;q=0.1", "gzip"),
        ("zstd", "zstd"),
        ("*", "zstd"),
        ("zstd;q=0, *", "gzip"),
        ("", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=x", None),
    ],
)
def test_the_encoding_that_a_client_likes_best(accept_encoding: str, encoding: str | None) -> None:
    assert encoding_for(accept_encoding) == encoding


@given(st.text())
def test_no_header_breaks_it(accept: str) -> None:
    choose(accept)
    takes_html(accept)
    encoding_for(accept)
