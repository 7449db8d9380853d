"""Which form of a listing a client gets."""

import pytest

from gateway.errors import BadRequestError, GatewayError, NotAcceptableError
from gateway.website.forms import Form, Wanted, begins_after, wanted

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "query", "form"),
    [
        ("", "", Form.HTML),
        ("*/*", "", Form.HTML),
        (BROWSER, "", Form.HTML),
        ("application/json", "", Form.JSON),
        ("application/json, text/html;q=0.9", "", Form.JSON),
        ("text/plain", "", Form.TEXT),
        ("text/*", "", Form.HTML),
        ("text/plain, text/*;q=0.5", "", Form.TEXT),
        ("application/*", "", Form.JSON),
        (BROWSER, "format=json", Form.JSON),
        (BROWSER, "x=y&format=TEXT", Form.TEXT),
        ("application/json", "format=html", Form.HTML),
        ("image/png", "format=txt", Form.TEXT),
        ("application/json", "format=", Form.JSON),
    ],
)
def test_the_query_beats_what_is_accepted(accept: str, query: str, form: Form) -> None:
    assert wanted(accept, query).form is form


def test_a_page_begins_after_a_name() -> None:
    assert begins_after("after=a%20b%2F&format=json") == "a b/"
    assert begins_after("format=text") == begins_after("") == ""
    assert wanted("", "after=a%20b%2F&format=json") == Wanted(Form.JSON, "json")
    assert wanted("text/plain", "after=%D0%B6") == Wanted(Form.TEXT, "")


@pytest.mark.parametrize(
    ("accept", "query", "error"),
    [
        ("image/png", "", NotAcceptableError),
        ("text/html;q=0", "", NotAcceptableError),
        (BROWSER, "format=xml", NotAcceptableError),
        ("", "format=json&format=html", BadRequestError),
    ],
)
def test_what_can_not_be_met_is_refused(accept: str, query: str, error: type[GatewayError]) -> None:
    with pytest.raises(error):
        wanted(accept, query)


@pytest.mark.parametrize("query", ["after=a&after=b", "after=a%0Ab", "after=%00", f"after={'x' * 1025}"])
def test_a_name_that_none_can_have_is_refused(query: str) -> None:
    with pytest.raises(BadRequestError):
        begins_after(query)
