import pytest
from multidict import CIMultiDict

from gateway.http.headers import as_html, to_client, to_storage


def test_only_ranges_and_conditions_go_to_the_storage() -> None:
    sent = {
        "Range": "bytes=0-1",
        "If-Match": '"a"',
        "If-None-Match": '"b"',
        "If-Modified-Since": "Fri, 24 May 2013 00:00:00 GMT",
        "If-Unmodified-Since": "Fri, 24 May 2013 00:00:00 GMT",
        "If-Range": '"c"',
    }
    dropped = {
        "Host": "gateway",
        "Authorization": "Basic eDp5",
        "Cookie": "a=b",
        "X-Amz-Security-Token": "t",
        "x-amz-copy-source": "/other/secret",
        "X-Forwarded-Host": "evil",
        "Accept-Encoding": "gzip",
        "Transfer-Encoding": "chunked",
        "Content-Length": "3",
    }
    assert to_storage("GET", (sent | dropped).items()) == {name.lower(): value for name, value in sent.items()}
    ranges = {"Range", "If-Range"}
    assert to_storage("HEAD", sent.items()) == {name.lower(): sent[name] for name in sent.keys() - ranges}


@pytest.mark.parametrize(
    "date", ["", "yesterday", "0", "Fri, 24 May 2013 00:00:00 +0000", "Fri, 99 May 2013 00:00:00 GMT"]
)
@pytest.mark.parametrize("name", ["If-Modified-Since", "If-Unmodified-Since"])
def test_a_condition_on_an_invalid_date_is_ignored(name: str, date: str) -> None:
    assert to_storage("GET", [(name, date), ("Range", "bytes=0-1")]) == {"range": "bytes=0-1"}


@pytest.mark.parametrize("name", ["If-Modified-Since", "If-Unmodified-Since"])
def test_a_condition_on_a_date_that_is_repeated_is_ignored(name: str) -> None:
    dates = "Fri, 24 May 2013 00:00:00 GMT", "Sat, 25 May 2013 00:00:00 GMT"
    assert to_storage("GET", [(name, date) for date in dates]) == {}


@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 UTC",
    ],
)
@pytest.mark.parametrize("name", ["If-Modified-Since", "If-Unmodified-Since"])
def test_a_date_of_any_format_reaches_the_storage_in_the_preferred_one(name: str, date: str) -> None:
    assert to_storage("GET", [(name, date)]) == {name.lower(): "Sun, 06 Nov 1994 08:49:37 GMT"}


def test_repeated_headers_are_joined() -> None:
    assert to_storage("GET", [("If-None-Match", '"a"'), ("if-none-match", '"b"')]) == {"if-none-match": '"a", "b"'}


@pytest.mark.parametrize(
    "connection",
    [["keep-alive, Range"], ["RANGE"], ["keep-alive,range,close"], ["Range", "close"], ["close", "\trange ,"]],
)
def test_headers_that_connection_names_are_hop_by_hop(connection: list[str]) -> None:
    headers = [("Range", "bytes=0-1"), *(("Connection", value) for value in connection), ("If-Match", '"a"')]
    assert to_storage("GET", headers) == {"if-match": '"a"'}


def test_a_head_without_a_range_keeps_its_conditions() -> None:
    assert to_storage("HEAD", [("If-Match", '"a"'), ("Connection", "range")]) == {"if-match": '"a"'}


def test_content_and_caching_headers_go_to_the_client_and_nothing_else() -> None:
    upstream = CIMultiDict(
        {
            "content-type": "text/html",
            "content-length": "3",
            "etag": '"a"',
            "last-modified": "Fri, 24 May 2013 00:00:00 GMT",
            "cache-control": "max-age=60",
            "content-disposition": "attachment",
            "content-encoding": "gzip",
            "x-amz-request-id": "1",
            "x-amz-meta-secret": "2",
            "connection": "keep-alive",
            "keep-alive": "timeout=5",
            "transfer-encoding": "chunked",
            "set-cookie": "a=b",
            "server": "AmazonS3",
        }
    )
    assert to_client(upstream, "arrow/index.html") == {
        "Content-Type": "text/html",
        "Content-Length": "3",
        "ETag": '"a"',
        "Last-Modified": "Fri, 24 May 2013 00:00:00 GMT",
        "Cache-Control": "max-age=60",
        "Content-Disposition": "attachment",
        "Content-Encoding": "gzip",
    }


def test_package_files_never_claim_an_encoding() -> None:
    upstream = CIMultiDict({"Content-Encoding": "gzip", "Content-Length": "3"})
    for key in ("a/a-1.tar.gz", "a/A-1.WHL", "a/a-1.zip", "a/a.whl.metadata"):
        assert to_client(upstream, key) == {"Content-Length": "3"}


def test_an_index_page_without_a_type_is_html() -> None:
    html = {"Content-Type": "text/html; charset=utf-8"}
    assert as_html({}) == html
    assert as_html({"Content-Type": "binary/octet-stream"}) == html
    assert as_html({"Content-Type": "text/plain"}) == {"Content-Type": "text/plain"}
