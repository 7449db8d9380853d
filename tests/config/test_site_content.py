"""What the section `site` says of content: what is accepted, and what each mistake is told as."""

from typing import Any

import pytest
import yaml

from gateway.config.load import load, load_text
from gateway.errors import ConfigError


def mistakes(**site: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(yaml.safe_dump({"index": {"mode": "site"}, "site": site}), "file")
    return [f"{problem.key}: {problem.message}" for problem in caught.value.problems]


def of_headers(headers: Any) -> list[str]:
    return mistakes(headers=[{"path": "/*", "headers": headers}])


def test_all_of_it_as_a_file_has_it() -> None:
    site = load_text(
        """
index: {mode: site}
site:
  precompressed: [br, gzip]
  compress: {types: [text/*, application/JSON], min_bytes: 2KiB, max_bytes: 1MB, private: true}
  cache_control: [{path: '/assets/*', value: 'public, max-age=31536000, immutable'}]
  types: {.geojson: application/geo+json, MD: text/markdown; charset=utf-8}
  headers: [{path: '/*', headers: {x-content-type-options: nosniff, Strict-Transport-Security: 'max-age=1; preload'}}]
""",
        "file",
    ).site
    assert site.compress is not None
    assert (site.precompressed, site.compress.types) == (["br", "gzip"], ["text/*", "application/json"])
    assert (site.compress.min_bytes, site.compress.max_bytes, site.compress.private) == (2048, 1_000_000, True)
    assert site.types == {".geojson": "application/geo+json", ".md": "text/markdown; charset=utf-8"}
    assert site.headers[0].headers == {
        "X-Content-Type-Options": "nosniff",
        "Strict-Transport-Security": "max-age=1; preload",
    }


def test_all_of_it_is_off() -> None:
    site = load({"index.mode": "site"}, environ={}).site
    assert (site.precompressed, site.compress, site.cache_control, site.types, site.headers) == ([], None, [], {}, [])


def test_an_empty_mapping_turns_compression_on() -> None:
    compress = load({"index.mode": "site"}, environ={"GATEWAY_SITE__COMPRESS": "{}"}).site.compress
    assert compress is not None
    assert (compress.min_bytes, compress.max_bytes, compress.private) == (1400, 1024 * 1024, False)


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a:b", "a\nb", "é", "Set-Cookie", "set-cookie2", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade",
     "Transfer-Encoding", "Proxy-Authenticate", "Content-Length", "Content-Type", "Content-Encoding", "Vary", "ETag",
     "Cache-Control", "Location", "Date", "Server", "Access-Control-Allow-Origin", "X-Request-ID", "Refresh"],
)  # fmt: skip
def test_a_header_that_is_not_for_all_answers(name: str) -> None:
    [problem] = of_headers({name: "x"})
    assert problem.startswith("site.headers: number 1: headers: has a ")


@pytest.mark.parametrize("value", ["", " x", "x ", "a\nb", "a\r\nSet-Cookie: x", "a\x00b", "a\tb", "é", "x" * 4097])
def test_a_value_that_no_header_may_have(value: str) -> None:
    [problem] = of_headers({"X-Frame-Options": value})
    assert problem.startswith("site.headers: number 1: headers: has a value ")
    assert "Set-Cookie" not in problem


def test_headers_whose_names_are_the_same() -> None:
    [problem] = of_headers({"X-A": "1", "x-a": "2"})
    assert problem.startswith("site.headers: number 1: headers: has one name twice")
    assert of_headers({f"X-{number}": "x" for number in range(51)}) == [
        "site.headers: number 1: headers: must not be more than 50"
    ]


@pytest.mark.parametrize(
    "name",
    ["Content-Security-Policy", "content-security-policy-report-only", "Permissions-Policy", "Link", "Expect-CT"],
)
def test_headers_that_may_be_given(name: str) -> None:
    table = yaml.safe_dump([{"path": "/a*", "headers": {name: "x; y=\"z\", 'self'"}}])
    [found] = load({"index.mode": "site", "site.headers": table}, environ={}).site.headers
    assert [*found.headers] == [name.title()]


@pytest.mark.parametrize("value", ["", "max-age 3600", "max-age=", "a\nb", "a,,b", "a;b", "é", 'x="', " public"])
def test_a_cache_control_that_is_none(value: str) -> None:
    [problem] = mistakes(cache_control=[{"path": "/*", "value": value}])
    assert problem.startswith("site.cache_control: number 1: value: must be directives")


@pytest.mark.parametrize("path", ["a", "/a*b*", "/a?b", "//a"])
def test_a_pattern_that_is_none(path: str) -> None:
    for setting, rest in (("cache_control", {"value": "public"}), ("headers", {"headers": {"X-A": "x"}})):
        [problem] = mistakes(**{setting: [{"path": path} | rest]})
        assert problem.startswith(f"site.{setting}: number 1: path: must ")


@pytest.mark.parametrize("types", [{"a/b": "text/plain"}, {".a": "text"}, {".a": "text/plain\n"}, {"a": "text/x; y"}])
def test_types_that_are_none(types: dict[str, str]) -> None:
    [problem] = mistakes(types=types)
    assert problem.startswith("site.types: must name, for each extension, its type")


@pytest.mark.parametrize(
    ("compress", "what"),
    [
        ("{types: [text]}", "types: must be types without parameters"),
        ("{types: ['*/*']}", "types: must be types without parameters"),
        ("{min_bytes: 100}", "min_bytes: "),
        ("{max_bytes: 100MB}", "max_bytes: "),
        ("{min_bytes: 5000, max_bytes: 4000}", "has a min_bytes that is more than max_bytes"),
        ("{max_bytes: 8MiB}", "has a max_bytes that is more than a quarter of index.memory_bytes"),
        ("{level: 9}", "level: "),
    ],
)
def test_a_compression_that_is_none(compress: str, what: str) -> None:
    [problem] = mistakes(compress=yaml.safe_load(compress))
    assert problem.startswith(f"site.compress: {what}")


def test_encodings_that_there_are() -> None:
    [problem] = mistakes(precompressed=["br", "deflate"])
    assert problem.startswith("site.precompressed: ")
