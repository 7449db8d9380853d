import pytest

from gateway.errors import PreconditionFailedError
from gateway.index.etags import conditional, etag_of


def test_a_page_or_that_it_is_the_one_that_the_client_has() -> None:
    etag = etag_of(b"body")
    for wanted, status in [
        ({}, 200),
        ({"if-none-match": '"other"'}, 200),
        ({"if-none-match": f'"other", W/{etag}'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-modified-since": "Tue, 14 Nov 2023 22:13:20 GMT"}, 200),
        ({"if-match": etag}, 200),
    ]:
        page = conditional(b"body", etag, {"A": "b"}, wanted, 3.0)
        assert (page.status, page.body) == (status, b"body" if status == 200 else b"")
        assert (page.headers, page.fresh_for) == ({"A": "b", "ETag": etag}, 3.0)
    with pytest.raises(PreconditionFailedError):
        conditional(b"body", etag, {}, {"if-match": '"other"'})


def test_a_tag_tells_bodies_and_encodings_apart() -> None:
    tags = {etag_of(b"a"), etag_of(b"b"), etag_of(b"a", "-gzip")}
    assert len(tags) == 3
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)
