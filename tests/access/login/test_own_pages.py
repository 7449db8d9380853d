"""Which requests a page of the gateway's own may have sent."""

import pytest
from multidict import CIMultiDict

from gateway.access.login.own_pages import demand_no_foreign_page, is_own_script
from gateway.errors import ForbiddenError

HOME = "https://packages.example.com/pypi/"


@pytest.mark.parametrize(
    ("headers", "base_url"),
    [
        ({}, HOME),
        ({}, ""),
        ({"Origin": "https://packages.example.com"}, HOME),
        ({"Origin": "https://packages.example.com", "Host": "10.0.0.1:8080"}, HOME),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8080"}, "http://localhost:8080/"),
        ({"Sec-Fetch-Site": "none"}, HOME),
    ],
)
def test_what_no_page_or_an_own_one_sends_passes(headers: dict[str, str], base_url: str) -> None:
    demand_no_foreign_page(CIMultiDict(headers), base_url)


@pytest.mark.parametrize(
    ("headers", "base_url"),
    [
        ({"Origin": "https://evil.example"}, HOME),
        ({"Origin": "https://packages.example.com.evil.example"}, HOME),
        ({"Origin": "https://evil.example", "Host": "evil.example"}, HOME),  # a name that was made to mean our address
        ({"Origin": "null"}, HOME),
        ({"Origin": ""}, HOME),
        ({"Origin": "null"}, ""),
        ({"Origin": ""}, ""),
        ({"Sec-Fetch-Site": "same-site"}, HOME),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://packages.example.com"}, HOME),
        ({"Origin": "https://[x"}, HOME),
        ({"Origin": "https://evil.example://packages.example.com"}, HOME),
    ],
)
def test_what_a_page_of_another_site_sends_does_not(headers: dict[str, str], base_url: str) -> None:
    with pytest.raises(ForbiddenError) as caught:
        demand_no_foreign_page(CIMultiDict(headers), base_url)
    said = headers.get("Origin") or headers.get("Sec-Fetch-Site") or "an unknown site"
    assert caught.value.detail == f"sent by a page of {said}"


@pytest.mark.parametrize("values", [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")])
def test_a_second_value_counts_as_well(values: tuple[str, str]) -> None:
    name, foreign = values
    own = {"Origin": "https://packages.example.com", "Sec-Fetch-Site": "same-origin"}[name]
    with pytest.raises(ForbiddenError):
        demand_no_foreign_page(CIMultiDict([(name, own), (name, foreign)]), HOME)


def test_a_script_of_our_own_says_so() -> None:
    assert is_own_script(CIMultiDict({"x-requested-with": "gateway"}))
    assert is_own_script(CIMultiDict({"x-requested-with": "gateway", "Sec-Fetch-Site": "same-origin"}))
    assert not is_own_script(CIMultiDict({"x-requested-with": "gateway", "Sec-Fetch-Site": "same-site"}))
    assert not is_own_script(CIMultiDict({"X-Requested-With": "XMLHttpRequest"}))
    assert not is_own_script(CIMultiDict())
