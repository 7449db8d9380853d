import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.http.target import (
    encode_key,
    is_own,
    is_reserved,
    key_of,
    location,
    parse_target,
    relative_directory,
    strip_prefix,
)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/arrow/arrow-0.12.1.tar.gz", "/arrow/arrow-0.12.1.tar.gz", ""),
        ("/a?b=c&d", "/a", "b=c&d"),
        ("/a?b?c", "/a", "b?c"),
        ("/a%20b", "/a b", ""),
        ("/a+b", "/a+b", ""),
        ("/a%2Bb", "/a+b", ""),
        ("/a%2fb", "/a/b", ""),
        ("/a%252Fb", "/a%2Fb", ""),
        ("/a%25b", "/a%b", ""),
        ("/%D0%BA%D0%BB%D1%8E%D1%87", "/ключ", ""),
        ("/ключ", "/ключ", ""),
        ("/%E6%97%A5%E6%9C%AC", "/日本", ""),
        ("/%F0%9F%8D%B0", "/🍰", ""),
        ("//a//b", "//a//b", ""),
        ("/a/...", "/a/...", ""),
        ("/a/.hidden", "/a/.hidden", ""),
        ("/a../b", "/a../b", ""),
        ("/a\\b", "/a\\b", ""),
        ("/=@&'()!*~:;,$", "/=@&'()!*~:;,$", ""),
        ("http://host/a%20b?c", "/a b", "c"),
        ("HTTPS://host:8443", "/", ""),
    ],
)
def test_a_target_is_decoded_once(target: str, path: str, query: str) -> None:
    assert parse_target(target) == (path, query)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "*",
        "host:443",
        "a/b",
        "ftp://host/a",
        "/a#b",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%u0041",
        "/%ff",
        "/%c0%ae%c0%ae/",
        "/%ed%a0%80",
        "/a\udcff",
        "/a%00b",
        "/a%0d%0ab",
        "/a%7f",
        "/a%c2%85b",
        "/..",
        "/.",
        "/../a",
        "/a/..",
        "/a/./b",
        "/a/../b",
        "/%2e%2e/a",
        "/%2E./a",
        "/a/.%2e",
        "/a%2f..%2fb",
        "/a%2f%2e%2e",
        "/..%2f..%2fetc",
        "/%252e%252e/a",
        "/..%252f..%252fetc",
        "/%25252e%25252e/a",
        "/..\\a",
        "/a%5c..%5cb",
        "/a%255c..%255cb",
        "/%2525252525252525252525252525252e",
        "http://host/../a",
        "http://",
        "https:///a",
    ],
)
def test_a_target_that_could_mislead_is_refused(target: str) -> None:
    with pytest.raises(BadRequestError):
        parse_target(target)


@pytest.mark.parametrize(
    ("path", "prefix", "inner"),
    [
        ("/a/b", "", "/a/b"),
        ("/pypi", "/pypi", "/"),
        ("/pypi/", "/pypi", "/"),
        ("/pypi/a", "/pypi", "/a"),
        ("/pypi//a", "/pypi", "//a"),
        ("/pypix/a", "/pypi", None),
        ("/a", "/pypi", None),
        ("/a/b/c", "/a/b", "/c"),
    ],
)
def test_a_prefix_comes_off_by_whole_segments(path: str, prefix: str, inner: str | None) -> None:
    assert strip_prefix(path, prefix) == inner


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        ("arrow/arrow-0.12.1.tar.gz", "arrow/arrow-0.12.1.tar.gz"),
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("a%2Fb", "a%252Fb"),
        ("=@&'()!*~", "%3D%40%26%27%28%29%21%2A~"),
        ("//a", "//a"),
        ("ключ", "%D0%BA%D0%BB%D1%8E%D1%87"),
        ("🍰", "%F0%9F%8D%B0"),
    ],
)
def test_a_key_is_encoded_by_the_rule_of_s3(key: str, encoded: str) -> None:
    assert encode_key(key) == encoded


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60))
def test_encoding_and_decoding_are_inverse(key: str) -> None:
    encoded = encode_key(key)
    assert set(encoded) <= set(string.ascii_letters + string.digits + "-_.~/%")
    try:
        assert parse_target("/" + encoded) == ("/" + key, "")
    except BadRequestError:
        assert "." in key or "%" in key  # a dot segment, maybe encoded: those are refused


@pytest.mark.parametrize(
    ("path", "query", "location"),
    [
        ("/arrow", "", "./arrow/"),
        ("/a/b c", "x=1&y=%20", "./b%20c/?x=1&y=%20"),
        ("//evil.example", "", "./evil.example/"),
        ("/javascript:alert(1)", "", "./javascript%3Aalert%281%29/"),
        ("/a", "\udcff\u00e9", "./a/?%FF%C3%A9"),
        ("/a?b", "", "./a%3Fb/"),
    ],
)
def test_a_directory_redirect_stays_where_it_is(path: str, query: str, location: str) -> None:
    assert relative_directory(path, query) == location


@pytest.mark.parametrize(
    ("key", "reserved"),
    [
        (".gateway/x", True),
        (".gateway", True),
        (".mirror/", True),
        ("a/.mirror/x", True),
        ("/.gateway/x", True),
        ("", False),
        ("gateway/x", False),
        (".gatewayx/x", False),
        ("a.gateway/x", False),
        (".well-known/x", False),
        ("a/.hidden", False),
    ],
)
def test_keys_that_are_the_gateway_s_own(key: str, reserved: bool) -> None:
    assert is_reserved(key) is reserved
    assert is_own(key) is (reserved and ".mirror" not in key)


@pytest.mark.parametrize(
    ("target", "detail", "public"),
    [
        ("a/b", "target is not a path", "The request target must start with /"),
        ("/a#b", "fragment in target", "The request target must not have a fragment"),
        ("/a%00b", "control character in path", "The path must not have control characters"),
        ("/a%zz", "invalid escape in path", "The path has an invalid percent-escape"),
        ("/%ff", "path is not UTF-8", "The path is not valid UTF-8"),
        ("/a\udcff", "path is not UTF-8", "The path is not valid UTF-8"),
        ("/%2525252525252525252525252525252e", "nested escapes in path", "The path is percent-encoded too many times"),
        ("/a/..", "dot segment in path", "The path must not have . or .. segments"),
    ],
)
def test_a_refusal_says_why(target: str, detail: str, public: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        parse_target(target)
    assert (refused.value.detail, refused.value.public) == (detail, public)


def test_bytes_that_the_http_parser_could_not_decode_are_utf_8() -> None:
    assert parse_target("/ключ".encode().decode("ascii", "surrogateescape")) == ("/ключ", "")


@pytest.mark.parametrize(
    ("path", "base_path", "strip", "add", "key"),
    [
        ("/a/b", "", "", "", "a/b"),
        ("/", "", "", "", ""),
        ("/pypi/a", "/pypi", "", "", "a"),
        ("/a", "/pypi", "", "", None),
        ("/simple/a/", "", "/simple", "", "a/"),
        ("/a/", "", "/simple", "", "a/"),
        ("/pypi/simple/a", "/pypi", "/simple", "/v1", "v1/a"),
        ("/pypi/a", "/pypi", "/simple", "/v1", "v1/a"),
        ("/simple", "", "/simple", "", ""),
    ],
)
def test_paths_become_keys(path: str, base_path: str, strip: str, add: str, key: str | None) -> None:
    assert key_of(path, base_path=base_path, strip=strip, add=add) == key


@pytest.mark.parametrize(
    ("reference", "encoded"),
    [
        ("https://u@h:1/a~b/c?d=e&f#g", "https://u@h:1/a~b/c?d=e&f#g"),
        ("/%D0%BA%20", "/%D0%BA%20"),
        ("/ключ б", "/%D0%BA%D0%BB%D1%8E%D1%87%20%D0%B1"),
        ("//[::1]/!$&'()*+,;=:@", "//[::1]/!$&'()*+,;=:@"),
        ('a"<>\\^`{|}\r\n', "a%22%3C%3E%5C%5E%60%7B%7C%7D%0D%0A"),
        ("?\udcff", "?%FF"),
    ],
)
def test_a_location_is_ascii(reference: str, encoded: str) -> None:
    assert location(reference) == location(encoded) == encoded


def test_a_location_keeps_exactly_what_a_uri_may_have() -> None:
    kept = "".join(chr(code) for code in range(128) if location(chr(code)) == chr(code))
    assert kept == "!#$%&'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~"
    assert location("a\n") == "a%0A"


def test_what_need_not_be_encoded_is_not() -> None:
    assert encode_key("a~b/c-d_e.f X") == "a~b/c-d_e.f%20X"
    assert relative_directory("/x/a~X", "q=X&ключ") == "./a~X/?q=X&%D0%BA%D0%BB%D1%8E%D1%87"
    assert relative_directory("/ü", "") == "./%C3%BC/"
