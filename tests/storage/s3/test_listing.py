import pytest

from gateway.errors import UpstreamError
from gateway.storage.base import StoredObject
from gateway.storage.s3.listing import ListingPage, Outline, Progress, outline, parameters, parse

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult{namespace}><Name>b</Name><Prefix>pypi%2F</Prefix><EncodingType>url</EncodingType>
<IsTruncated>{truncated}</IsTruncated><NextContinuationToken>next</NextContinuationToken>
<Contents><Key>pypi/a%2Bb+c/%D0%BA%0A.whl</Key><LastModified>2013-05-24T00:00:00.000Z</LastModified>
<ETag>&quot;e1&quot;</ETag><Size>7</Size></Contents></ListBucketResult>"""


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
def test_a_page_has_objects_and_a_token(namespace: str) -> None:
    page = parse(PAGE.format(namespace=namespace, truncated="true").encode())
    assert page.objects == [StoredObject("pypi/a+b c/к\n.whl", 7, '"e1"', 1369353600.0)]
    assert page.next_token == "next"


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
def test_directories_are_told_by_their_prefix(namespace: str) -> None:
    page = parse(
        f"""<ListBucketResult{namespace}><Prefix>p%2F</Prefix><EncodingType>url</EncodingType>
        <IsTruncated> False\n</IsTruncated><CommonPrefixes><Prefix>p%2Fa+b%2F</Prefix></CommonPrefixes>
        <CommonPrefixes><Prefix>p%2Fc%2F</Prefix></CommonPrefixes></ListBucketResult>""".encode()
    )
    assert page == ListingPage([], ["p/a b/", "p/c/"], None)


def test_keys_of_a_storage_that_does_not_encode_them_are_taken_as_they_are() -> None:
    page = PAGE.format(namespace="", truncated="false").replace("<EncodingType>url</EncodingType>", "")
    assert parse(page.encode()).objects[0].key == "pypi/a%2Bb+c/%D0%BA%0A.whl"


def test_an_object_need_not_have_an_etag() -> None:
    page = PAGE.format(namespace="", truncated="false").replace("<ETag>&quot;e1&quot;</ETag>", "")
    assert parse(page.encode()).objects[0].etag == ""


def test_the_last_page_has_no_token() -> None:
    assert parse(PAGE.format(namespace="", truncated="false").encode()).next_token is None


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(12))
    + "]><ListBucketResult>&m;</ListBucketResult>"
)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html/>",
        "<ListBucketResult>",
        "<Error><Code>x</Code></Error>",
        BOMB,
        "<ListBucketResult><Contents><Key>k</Key><Size>x</Size></Contents></ListBucketResult>",
        PAGE.format(namespace="", truncated="false").replace(">7<", ">-1<"),
        PAGE.format(namespace="", truncated="false").replace(">7<", f">{2**63}<"),
        PAGE.format(namespace="", truncated="true").replace("next", ""),
        PAGE.format(namespace="", truncated="true").replace("<NextContinuationToken>next</NextContinuationToken>", ""),
        PAGE.format(namespace="", truncated="false").replace("2013-05", "0000-05"),
        PAGE.format(namespace="", truncated=""),
        "<ListBucketResult><Name>b</Name></ListBucketResult>",
        '<?xml version="1.0" encoding="UTF-4"?><ListBucketResult/>',
    ],
    ids=[
        "empty",
        "html",
        "truncated",
        "error",
        "bomb",
        "no-size",
        "negative-size",
        "huge-size",
        "empty-token",
        "no-token",
        "year-0",
        "no-end",
        "nothing",
        "encoding",
    ],
)
def test_what_is_no_listing_is_an_upstream_error(body: str) -> None:
    with pytest.raises(UpstreamError, match="listing can't be read"):
        parse(body.encode())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<html/>", "root element is html"),
        (PAGE.format(namespace="", truncated="maybe"), "IsTruncated is missing or invalid"),
        ("<ListBucketResult/>", "IsTruncated is missing or invalid"),
        (
            PAGE.format(namespace="", truncated="true").replace("next", ""),
            "IsTruncated is true, but there is no NextContinuationToken",
        ),
    ],
)
def test_the_log_tells_why_a_listing_can_not_be_read(body: str, reason: str) -> None:
    with pytest.raises(UpstreamError) as failed:
        parse(body.encode())
    assert failed.value.detail == f"the listing can't be read: {reason}"


def contents(*keys: str) -> str:
    return "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><LastModified>2013-05-24T00:00:00Z</LastModified></Contents>"
        for key in keys
    )


def listing(inner: str, token: str = "t") -> bytes:
    head = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    return f"<ListBucketResult>{head}{inner}</ListBucketResult>".encode()


@pytest.mark.parametrize("keys", [("a",), ("a", "b"), ("a", "b", "c", "d")])
def test_an_outline_tells_the_token_the_last_key_and_the_bytes_of_the_objects(keys: tuple[str, ...]) -> None:
    assert outline(listing(contents(*keys))) == Outline("t", keys[-1], contents(*keys).encode())
    assert outline(listing(contents(*keys), "other")).contents == contents(*keys).encode()


def test_an_outline_does_not_read_what_is_in_the_middle() -> None:
    broken = listing(contents("a") + "<Contents>&</Contents>" + contents("b"))
    assert outline(broken).last_key == "b"
    with pytest.raises(UpstreamError):
        parse(broken)
    with pytest.raises(UpstreamError):
        outline(listing(contents("a") + "<Contents>&</Contents>"))


@pytest.mark.parametrize("inner", ["", "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>"])
def test_the_outline_of_a_page_without_objects_is_all_of_it(inner: str) -> None:
    assert outline(listing(inner)) == Outline("t", "", listing(inner))


def test_an_outline_of_objects_that_are_written_otherwise_is_all_of_the_page() -> None:
    body = listing(contents("a", "b").replace("<Contents>", "<Contents >"))
    assert outline(body) == Outline("t", "b", body)


def test_parameters_of_a_call() -> None:
    assert parameters("", delimiter="/", after="a/b") == {
        "list-type": "2",
        "encoding-type": "url",
        "max-keys": "1000",
        "delimiter": "/",
        "start-after": "a/b",
    }
    assert parameters("") == {"list-type": "2", "encoding-type": "url", "max-keys": "1000"}
    assert parameters("p/", limit=5, token="t") == {
        "list-type": "2",
        "encoding-type": "url",
        "max-keys": "5",
        "prefix": "p/",
        "continuation-token": "t",
    }
    assert parameters("", limit=5000)["max-keys"] == "1000"


@pytest.mark.parametrize("empty", [(), None, ""])
def test_many_pages_without_objects_may_follow_one_another_but_not_for_ever(empty: object) -> None:
    progress = Progress()
    for again in range(3):
        for number in range(100):
            progress.note(empty, f"t{again}-{number}")
        progress.note(f"objects {again}", f"t{again}")
    progress.note(empty, None)
    for number in range(99):
        progress.note(empty, f"u{number}")
    with pytest.raises(UpstreamError, match="101 pages in a row"):
        progress.note(empty, "next")


@pytest.mark.parametrize("between", [0, 1, 2, 7])
@pytest.mark.parametrize("empty", [False, True], ids=["of-objects", "empty"])
def test_a_listing_that_goes_in_a_circle_gets_no_further(between: int, empty: bool) -> None:
    """Whatever lies between two pages that are alike: the page before alone would not tell."""
    pages = ["a", *("" if empty else f"b{number}" for number in range(between))]
    for again, reason in ((("a", "fresh"), "the same objects"), (("c", "t0"), "the same token")):
        progress = Progress()
        for number, page in enumerate(pages):
            progress.note(page, f"t{number}")
        with pytest.raises(UpstreamError, match=reason):
            progress.note(*again)


def test_the_last_page_of_a_listing_may_be_like_another() -> None:
    progress = Progress()
    progress.note("a", "1")
    progress.note("b", "2")
    progress.note("a", None)


@pytest.mark.parametrize(
    ("listed", "expected"), [("&quot;e1&quot;", '"e1"'), ("e1", '"e1"'), ("", ""), ("W/&quot;e1&quot;", 'W/"e1"')]
)
def test_an_etag_has_its_quotes_also_if_the_server_lists_it_without(listed: str, expected: str) -> None:
    """The cache compares it with the header ETag: an object whose listing seems to show another is dropped."""
    page = PAGE.format(namespace="", truncated="false").replace("&quot;e1&quot;", listed)
    assert parse(page.encode()).objects[0].etag == expected
