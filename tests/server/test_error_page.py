"""What clients read of an error."""

import base64
import hashlib
import json
import re

import pytest

from gateway.errors import BadRequestError, GatewayError, NotAcceptableError, NotFoundError, UpstreamBusyError
from gateway.server.error_page import error_page

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"


@pytest.mark.parametrize("accept", ["", "*/*", PIP, "text/html"])
def test_installers_and_curl_get_short_text(accept: str) -> None:
    page = error_page(NotFoundError(), accept=accept, request_id="r1", home="/")
    assert page.body == b"404 Not found\nrequest id: r1\n"
    assert page.headers == {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "Vary": "Accept"}


def test_json_is_for_clients_that_ask_for_it() -> None:
    page = error_page(NotFoundError(), accept="application/json", request_id="r1")
    assert json.loads(page.body) == {"status": 404, "error": "Not found", "request_id": "r1"}


def test_a_browser_gets_a_page_whose_style_the_policy_allows() -> None:
    page = error_page(UpstreamBusyError("detail"), accept=BROWSER, request_id="r1", home="/pypi/")
    text = page.body.decode()
    assert (page.status, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert (page.headers["Retry-After"], page.headers["Cache-Control"]) == ("2", "no-store")
    [style] = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = page.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "<h1>The storage behind this gateway is busy; try again</h1>" in text
    assert "Request id: r1" in text
    assert '<a href="/pypi/">' in text
    assert "detail" not in text
    assert "http" not in text, "nothing is fetched from elsewhere"


def test_what_is_said_stays_text() -> None:
    error = GatewayError(public="<b>&: <script>")
    text = error_page(error, accept=BROWSER, request_id="<r>", home='/"><i>/').body.decode()
    for tag in ("<b>", "<script>", "<r>", "<i>"):
        assert tag not in text


def test_without_an_index_nothing_leads_there() -> None:
    assert b"<a " not in error_page(NotAcceptableError(), accept=BROWSER, request_id="r1").body


@pytest.mark.parametrize(
    ("public", "phrase"),
    [
        ("File already exists", "File already exists"),
        ("Invalid upload: a\r\nSet-Cookie: b\x00\x7f", "Invalid upload: a??Set-Cookie: b??"),
        ("naïve €", "na?ve ?"),
        ("x" * 300, "x" * 200),
    ],
)
def test_an_upload_is_refused_with_a_reason_phrase_of_one_line(public: str, phrase: str) -> None:
    error = BadRequestError("detail", public=public)
    assert error_page(error, accept="*/*", request_id="r", upload=True).reason == phrase
    assert error_page(error, accept="*/*", request_id="r").reason == ""
    error.reason = public
    assert error_page(error, accept="*/*", request_id="r").reason == phrase
