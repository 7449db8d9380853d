"""JSON that two readers could take for two things is refused."""

import pytest

from gateway.access.oidc.strict_json import parse_object


def test_an_object_is_read() -> None:
    assert parse_object('{"a": [1, 1.5, null, {"a": "é"}], "b": {}}'.encode()) == {
        "a": [1, 1.5, None, {"a": "é"}],
        "b": {},
    }
    assert parse_object(b" {} ") == {}


@pytest.mark.parametrize("data", [b"[]", b"null", b"1", b'"a"', b"true", b"[{}]"])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a JSON object$"):
        parse_object(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}{}",
        b"\xff",
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 1, "a": 1}',
        b'{"x": [{"a": 1, "\\u0061": 2}]}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_the_same_to_every_reader_is_refused_and_not_quoted(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not JSON$") as refused:
        parse_object(data)
    assert refused.value.__suppress_context__
