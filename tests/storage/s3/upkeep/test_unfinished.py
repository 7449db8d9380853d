"""What ListMultipartUploads says, of several servers."""

import pytest

from gateway.errors import UpstreamError
from gateway.storage.s3.upkeep.unfinished import Marker, UploadsPage, parameters, parse
from gateway.storage.upkeep import UnfinishedUpload

AWS = """<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Bucket>b</Bucket>{before}<IsTruncated>{truncated}</IsTruncated>{uploads}</ListMultipartUploadsResult>"""
UPLOAD = "<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>2026-11-30T00:00:01.500Z</Initiated></Upload>"
BEGUN = 1795996801.5


def page(*uploads: str, truncated: str = "false", before: str = "") -> UploadsPage:
    return parse(AWS.format(before=before, truncated=truncated, uploads="".join(uploads)).encode())


def test_keys_are_decoded_only_if_the_server_encoded_them() -> None:
    upload = UPLOAD.format(key="a/%D1%84+%2B.whl", id="1")
    encoded = page(upload, before="<EncodingType>url</EncodingType>")
    assert encoded == UploadsPage([UnfinishedUpload("a/ф +.whl", "1", BEGUN)], None)
    assert page(upload).uploads[0].key == "a/%D1%84+%2B.whl"
    assert page() == UploadsPage([], None)


def test_the_next_page_begins_where_the_server_says_or_after_the_last_key() -> None:
    uploads = UPLOAD.format(key="a", id="1"), UPLOAD.format(key="b", id="2")
    said = "<NextKeyMarker>c</NextKeyMarker><NextUploadIdMarker>3</NextUploadIdMarker>"
    assert page(*uploads, truncated="true", before=said).following == Marker("c", "3")
    only_id = "<NextUploadIdMarker>2</NextUploadIdMarker>"  # as SeaweedFS does
    assert page(*uploads, truncated="true", before=only_id).following == Marker("b", "2")
    assert parameters("p/", Marker("b", "2"), encoded=True) == {
        "uploads": "",
        "encoding-type": "url",
        "max-uploads": "1000",
        "prefix": "p/",
        "key-marker": "b",
        "upload-id-marker": "2",
    }
    assert parameters("", None, encoded=False).keys() == {"uploads", "max-uploads"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"<html></html>", b"<ListBucketResult></ListBucketResult>"])
def test_what_is_no_such_listing_is_an_error(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="can't be read"):
        parse(body)


def test_an_upload_without_its_time_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="can't be read"):
        page("<Upload><Key>a</Key><UploadId>1</UploadId><Initiated>yesterday</Initiated></Upload>")
