"""Who is sent to a page to log in, and who never is."""

import pytest
from multidict import CIMultiDict

from gateway.access.login.navigation import is_navigation, is_own_form, is_prefetch, is_script

FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
UV = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


@pytest.mark.parametrize(
    ("accept", "mode", "expected"),
    [
        (FIREFOX, "navigate", True),
        (FIREFOX, None, True),
        ("Text/HTML", "navigate", True),
        ("text/html;q=0.9", "navigate", True),
        ("application/xhtml+xml ; q=0.9", "navigate", True),
        ("application/xhtml+xml;q=0.9", None, True),
        (FIREFOX, "cors", False),
        (FIREFOX, "no-cors", False),
        (FIREFOX, "", False),
        (PIP, None, False),
        (UV, None, False),
        ("text/html", None, False),  # pip before 22.2
        ("text/html, */*; q=0.01", None, False),
        ("*/*", None, False),
        ("*/*", "navigate", False),
        (None, None, False),
        (None, "navigate", False),
        ("application/json", "navigate", False),
    ],
)
def test_only_a_browser_that_shows_a_page_navigates(accept: str | None, mode: str | None, expected: bool) -> None:
    headers = CIMultiDict[str]()
    if accept is not None:
        headers["Accept"] = accept
    if mode is not None:
        headers["Sec-Fetch-Mode"] = mode
    assert is_navigation(headers) is expected
    assert is_script(headers) is (mode not in (None, "navigate"))


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("Sec-Purpose", "prefetch", True),
        ("Sec-Purpose", "prefetch;prerender", True),
        ("Purpose", "Prefetch", True),
        ("X-moz", "prefetch", True),
        ("Purpose", "", False),
    ],
)
def test_browsers_say_that_they_look_ahead(header: str, value: str, expected: bool) -> None:
    assert is_prefetch(CIMultiDict({header: value})) is expected


@pytest.mark.parametrize(
    ("site", "expected"),
    [(None, True), ("same-origin", True), ("same-site", False), ("cross-site", False), ("none", False), ("", False)],
)
def test_forms_of_other_sites_say_so(site: str | None, expected: bool) -> None:
    assert is_own_form(CIMultiDict({} if site is None else {"Sec-Fetch-Site": site})) is expected


def test_several_headers_are_one_list() -> None:
    assert is_navigation(CIMultiDict([("Accept", "application/xhtml+xml"), ("Accept", "*/*")]))
    assert is_navigation(CIMultiDict([("Accept", "*/*"), ("Accept", "application/xhtml+xml")]))


def test_browsers_that_say_nothing_do_not_look_ahead() -> None:
    assert not is_prefetch(CIMultiDict())
