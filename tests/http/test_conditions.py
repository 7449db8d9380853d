import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PreconditionFailedError, RangeNotSatisfiableError
from gateway.http.conditions import Part, not_modified, requested_part, seconds

ETAG = '"abc"'
MODIFIED = 1369353600
NOW = "Fri, 24 May 2013 00:00:00 GMT"
EARLIER = "Thu, 23 May 2013 23:59:59 GMT"
LATER = "Fri, 24 May 2013 00:00:01 GMT"


@pytest.mark.parametrize(
    ("headers", "result"),
    [
        ({}, False),
        ({"if-none-match": ETAG}, True),
        ({"if-none-match": f"W/{ETAG}"}, True),
        ({"if-none-match": "*"}, True),
        ({"if-none-match": f'"x", {ETAG}'}, True),
        ({"if-none-match": '"x"'}, False),
        ({"if-none-match": "abc"}, False),
        ({"if-none-match": f'"x"{ETAG}'}, False),
        ({"if-none-match": f"x{ETAG}"}, False),
        ({"if-none-match": f"{ETAG}x"}, False),
        ({"if-none-match": f",, {ETAG} ,"}, True),
        ({"if-none-match": f'"x,y",\t{ETAG},"z"'}, True),
        ({"if-none-match": f'W/"x",W/{ETAG}'}, True),
        ({"if-none-match": f"w/{ETAG}"}, False),
        ({"if-none-match": ""}, False),
        ({"if-none-match": " * "}, True),
        ({"if-modified-since": NOW}, True),
        ({"if-modified-since": LATER}, True),
        ({"if-modified-since": EARLIER}, False),
        ({"if-modified-since": "Friday, 24-May-13 00:00:00 GMT"}, True),
        ({"if-modified-since": "Fri May 24 00:00:00 2013"}, True),
        ({"if-modified-since": f"{NOW} "}, True),
        ({"if-modified-since": "Fri, 24 May 2013 00:00:00 UTC"}, True),
        ({"if-modified-since": "Fri, 24 May 2013 00:00:00 +0000"}, False),
        ({"if-modified-since": "yesterday"}, False),
        ({"if-modified-since": ""}, False),
        ({"if-modified-since": "Fri, 24 May 99999999999 00:00:00 GMT"}, False),
        ({"if-none-match": '"x"', "if-modified-since": LATER}, False),
        ({"if-none-match": ETAG, "if-modified-since": EARLIER}, True),
        ({"if-match": ETAG}, False),
        ({"if-match": "*"}, False),
        ({"if-match": f'"x",{ETAG}'}, False),
        ({"if-match": ETAG, "if-unmodified-since": EARLIER}, False),
        ({"if-unmodified-since": NOW}, False),
        ({"if-unmodified-since": LATER}, False),
        ({"if-unmodified-since": "nonsense"}, False),
        ({"if-match": ETAG, "if-none-match": ETAG}, True),
        ({"if-match": '"x"'}, PreconditionFailedError),
        ({"if-match": f"W/{ETAG}"}, PreconditionFailedError),
        ({"if-unmodified-since": EARLIER}, PreconditionFailedError),
        ({"if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT"}, PreconditionFailedError),
        ({"if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"}, False),
        ({"if-match": '"x"', "if-none-match": ETAG}, PreconditionFailedError),
    ],
)
def test_preconditions_are_weighed_in_the_order_of_rfc_9110(
    headers: dict[str, str], result: bool | type[Exception]
) -> None:
    if isinstance(result, bool):
        assert not_modified(headers, etag=ETAG, modified=MODIFIED) is result
    else:
        with pytest.raises(result) as refused:
            not_modified(headers, etag=ETAG, modified=MODIFIED)
        name = "If-Match" if "if-match" in headers else "If-Unmodified-Since"
        assert str(refused.value) == f"{name} does not hold"


@pytest.mark.parametrize("etag", ['"a,b"', '"a b"', '"\xe4"', '""', '"W/"'])
def test_any_entity_tag_is_found_in_a_list(etag: str) -> None:
    for field in (etag, f'"x", {etag}', f'{etag},"x"', f'"x",{etag} , W/"y"'):
        assert not_modified({"if-none-match": field}, etag=etag, modified=None) is (" " not in etag), field
    assert not not_modified({"if-none-match": '"x,y"'}, etag='"x', modified=None), "half of one is none"


@pytest.mark.parametrize("name", ["if-modified-since", "if-unmodified-since"])
def test_dates_don_t_count_where_none_is_known(name: str) -> None:
    for date in (EARLIER, NOW, "Thu, 01 Jan 1970 00:00:00 GMT"):
        assert not not_modified({name: date}, etag=ETAG, modified=None)
    assert not_modified({"if-none-match": ETAG, name: EARLIER}, etag=ETAG, modified=None)
    for if_range in (NOW, "nonsense", '"x"'):
        assert requested_part({"range": "bytes=0-1", "if-range": if_range}, etag=ETAG, modified=None, size=9) is None


def part(value: str, size: int = 100, if_range: str | None = None) -> Part | None:
    headers = {"range": value} | ({"if-range": if_range} if if_range is not None else {})
    return requested_part(headers, etag=ETAG, modified=MODIFIED, size=size)


@pytest.mark.parametrize(
    ("value", "content_range"),
    [
        ("bytes=0-9", "bytes 0-9/100"),
        ("bytes=50-59", "bytes 50-59/100"),
        ("bytes=90-", "bytes 90-99/100"),
        ("bytes=-10", "bytes 90-99/100"),
        ("bytes=0-", "bytes 0-99/100"),
        ("bytes=95-200", "bytes 95-99/100"),
        ("bytes=-1000", "bytes 0-99/100"),
        ("bytes=99-99", "bytes 99-99/100"),
        ("BYTES=0-0", "bytes 0-0/100"),
        ("bytes= 0-0 ", "bytes 0-0/100"),
    ],
)
def test_one_range_of_bytes_is_a_part(value: str, content_range: str) -> None:
    found = part(value)
    assert found is not None
    assert found.content_range == content_range


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-1",
        "bytes=0-1,3-4",
        "items=0-1",
        "bytes",
        f"bytes={'9' * 400}-",
        "bytes=٣-٤",
    ],
)
def test_what_is_no_single_range_is_ignored(value: str) -> None:
    assert part(value) is None
    assert requested_part({}, etag=ETAG, modified=MODIFIED, size=100) is None


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={'9' * 19}-"])
def test_a_range_past_the_end_says_how_long_the_file_is(value: str) -> None:
    with pytest.raises(RangeNotSatisfiableError) as refused:
        part(value)
    assert refused.value.headers == {"Content-Range": "bytes */100"}
    assert str(refused.value) == "100 bytes"


def test_an_empty_file_has_no_range() -> None:
    with pytest.raises(RangeNotSatisfiableError):
        part("bytes=0-0", size=0)
    with pytest.raises(RangeNotSatisfiableError):
        part("bytes=-5", size=0)


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [(ETAG, True), ('"x"', False), (f"W/{ETAG}", False), (NOW, True), (LATER, False), (EARLIER, False), ("x", False)],
)
def test_if_range_makes_a_range_count_only_for_the_same_file(if_range: str, holds: bool) -> None:
    assert (part("bytes=0-9", if_range=if_range) is not None) is holds


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_ranges_cut_as_slices_do(size: int, first: int, last: int) -> None:
    data = bytes(range(size))
    for value, expected in [
        (f"bytes={first}-{last}", data[first : last + 1] if first <= last else None),
        (f"bytes={first}-", data[first:]),
        (f"bytes=-{last}", data[max(size - last, 0) :]),
    ]:
        try:
            found = part(value, size=size)
        except RangeNotSatisfiableError:
            assert expected == b""
        else:
            assert (None if found is None else data[found.start : found.stop]) == expected


@pytest.mark.usefixtures("tokyo")
@pytest.mark.parametrize(
    "date", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_dates_are_of_gmt_wherever_we_are(date: str) -> None:
    """The three forms of RFC 9110, 5.6.7."""
    assert seconds(date) == 784111777
