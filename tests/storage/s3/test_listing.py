import pytest

from gateway.errors import UpstreamError
from gateway.storage.base import StoredObject
from gateway.storage.s3.listing import parameters, parse

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


def test_parameters_of_a_call() -> None:
    assert parameters("") == {"list-type": "2", "encoding-type": "url", "max-keys": "1000"}
    assert parameters("p/", limit=5, token="t") == {
        "list-type": "2",
        "encoding-type": "url",
        "max-keys": "5",
        "prefix": "p/",
        "continuation-token": "t",
    }
    assert parameters("", limit=5000)["max-keys"] == "1000"
