"""Which requests are for a page of an application that runs in the browser."""

import pytest
from multidict import CIMultiDict

from gateway.website.application import is_its_page

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (NAVIGATION, True),
        ({"Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Mode": "cors", "Accept": "text/html"}, False),
        ({"Sec-Fetch-Mode": "no-cors", "Accept": "text/html"}, False),
        ({"Sec-Fetch-Dest": "script", "Accept": "text/html"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}, False),
        ({"Accept": "text/html"}, True),
        ({"Accept": "application/xml, Text/HTML;q=0.5"}, True),
        ({"Accept": "*/*"}, False),
        ({"Accept": "text/*"}, False),
        ({"Accept": "application/json"}, False),
        ({}, False),
    ],
)
def test_somebody_goes_to_a_page(headers: dict[str, str], expected: bool) -> None:
    assert is_its_page("settings/profile", CIMultiDict(headers)) is expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("", True),
        ("settings/", True),
        ("users/a.smith", True),
        ("releases/v1.2", True),
        ("example.com", True),
        (".well", True),
        ("assets.js/page", True),
        ("app.js", False),
        ("assets/app.3f2a.JS", False),
        ("app.js.map", False),
        ("favicon.ico", False),
        ("old.html", False),
        ("data.json", False),
    ],
)
def test_what_ends_like_a_file_of_a_page_is_none(key: str, expected: bool) -> None:
    assert is_its_page(key, CIMultiDict(NAVIGATION)) is expected
