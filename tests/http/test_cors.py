"""Which origins are permitted, and what browsers are told."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.config.cors.settings import CorsSettings
from gateway.errors import ForbiddenError
from gateway.http.cors import Cors, cors_of, is_preflight
from gateway.messages import BufferedResponse, Redirect, Stream, nothing_to_close

HOME, PATTERN, LOCAL = "https://app.example.org", "https://*.example.net", "http://localhost:*"
NAMED = Cors(CorsSettings(origins=[HOME, PATTERN, LOCAL, "https://*.example.com:8443"], exposed_headers=["ETag"]))
ANYBODY = Cors(CorsSettings(origins=["*"], exposed_headers=["*"], headers=["*"]))
ALLOW = "Access-Control-Allow-Origin"


def answered(cors: Cors, *origins: str, **headers: str) -> dict[str, str]:
    """The headers of an answer that had `headers`, to a request with these headers Origin."""
    request = CIMultiDict([("Origin", origin) for origin in origins])
    return cors.share(BufferedResponse(200, b"", headers), request).headers


def permitted(origin: str, cors: Cors = NAMED) -> bool:
    return answered(cors, origin).get(ALLOW) == origin


@pytest.mark.parametrize(
    "origin",
    [
        HOME,
        "https://a.example.net",
        "https://a.b-c.d_e.example.net",
        "http://localhost",
        "http://localhost:3000",
        "https://a.example.com:8443",
    ],
)
def test_an_origin_that_is_configured_is_named(origin: str) -> None:
    assert answered(NAMED, origin) == {"Vary": "Origin", ALLOW: origin, "Access-Control-Expose-Headers": "ETag"}


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "*",
        "https://evil.org",
        "http://app.example.org",
        "https://app.example.org:443",
        "https://app.example.org:8443",
        "https://app.example.org.evil.org",
        "https://app.example.org@evil.org",
        "https://app.example.org/",
        "https://APP.example.org",
        "HTTPS://app.example.org",
        "https://app.example.org ",
        "https://app.example.org https://evil.org",
        "https://app.example.org,https://evil.org",
        "https://app.example.orgx",
        "https://xapp.example.org",
        "https://app-example.org",
        "https://appxexample.org",
        "https://example.net",
        "https://a.examplexnet",
        "https://.example.net",
        "https://evil-example.net",
        "https://evilexample.net",
        "https://a.example.net.evil.org",
        "https://a.example.net:8443",
        "https://a.example.net\n",
        "https://a..example.net",
        "https://evil.org/.example.net",
        "https://evil.org#.example.net",
        "https://evil.org?.example.net",
        "https://evil.org\\.example.net",
        "https://evil.org:80.example.net",
        "https://user@a.example.net",
        "https://*.example.net",
        "http://a.example.net",
        "https://a.example.com",
        "https://a.example.com:84433",
        "http://localhost:",
        "http://localhost:0",
        "http://localhost:123456",
        "http://localhost:80.evil.org",
        "http://localhost.evil.org",
        "http://localhost:*",
        f"https://{'a.' * 200}example.net",
        f"https://{'a' * 64}.example.net",
    ],
)
def test_no_other_origin_is(origin: str) -> None:
    assert answered(NAMED, origin) == {"Vary": "Origin"}


def test_several_origins_are_none() -> None:
    assert answered(NAMED, HOME, HOME) == {"Vary": "Origin"}
    assert answered(NAMED) == {"Vary": "Origin"}, "who asks without one gets an answer that depends on it too"


label = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


@given(labels=st.lists(label, min_size=1, max_size=4), end=st.sampled_from([".example.net", "-example.net", ""]))
def test_a_pattern_takes_whole_labels_before_its_end(labels: list[str], end: str) -> None:
    assert permitted(f"https://{'.'.join(labels)}{end}") is (end == ".example.net")


@given(
    st.text(alphabet="abe.xmplnt-:/@*#?%_\\ \t\r\n\x00éK0189", max_size=40),
    st.sampled_from(
        ["https://{}.example.net", "https://a.example.net{}", "{}https://a.example.net", "http://localhost{}"]
    ),
)
def test_what_is_permitted_is_an_origin_below_a_host_that_is_configured(text: str, where: str) -> None:
    origin = where.format(text)
    if permitted(origin):
        found = re.fullmatch(r"https?://([a-z0-9_.-]+)(?::([0-9]+))?", origin, re.ASCII)
        assert found is not None, "it has a scheme, a host and a port, and nothing else"
        host = found[1]
        assert (host == "localhost" and origin.startswith("http:")) or (
            host.endswith(".example.net") and host[0] != "." and ".." not in host and found[2] is None
        )


@given(st.text(max_size=400))
def test_any_text_is_either_permitted_or_not(text: str) -> None:
    assert permitted(text) is bool(
        text == HOME
        or re.fullmatch(r"https://([a-z0-9_-]{1,63}\.)+example\.net", text)
        or re.fullmatch(r"https://([a-z0-9_-]{1,63}\.)+example\.com:8443", text)
        or re.fullmatch(r"http://localhost(:[1-9][0-9]{0,4})?", text)
    )


def test_a_long_origin_takes_no_time() -> None:
    began = time.process_time()
    for long in ("https://" + "a." * 5_000_000, "https://" + "a" * 10_000_000, "https://" + "-." * 150 + "x"):
        assert not permitted(long)
    assert time.process_time() - began < 1


def test_for_all_origins_the_answer_is_the_same() -> None:
    expected = {ALLOW: "*", "Access-Control-Expose-Headers": "*", "Vary": "Accept"}
    for origins in ((), (HOME,), ("null",), (HOME, HOME), ("x" * 10_000,)):
        assert answered(ANYBODY, *origins, Vary="Accept") == expected


@pytest.mark.parametrize(
    ("given", "vary"),
    [("", "Origin"), ("Accept, Cookie", "Accept, Cookie, Origin"), ("accept,ORIGIN", "accept,ORIGIN"), ("*", "*")],
)
def test_vary_names_origin_once(given: str, vary: str) -> None:
    assert answered(NAMED, HOME, **({"Vary": given} if given else {}))["Vary"] == vary


def test_credentials_are_permitted_to_permitted_origins_only() -> None:
    cors = Cors(CorsSettings(origins=[HOME], credentials=True, exposed_headers=[]))
    assert answered(cors, HOME) == {"Vary": "Origin", ALLOW: HOME, "Access-Control-Allow-Credentials": "true"}
    assert answered(cors, "https://evil.org") == {"Vary": "Origin"}


def test_every_kind_of_answer_is_shared() -> None:
    request = CIMultiDict({"Origin": HOME})
    kept = {"ETag": '"x"'}
    for answer in (
        BufferedResponse(200, b"", kept),
        Redirect("/x", 302, kept),
        Stream(200, kept, None, nothing_to_close),
    ):
        shared = NAMED.share(answer, request)
        assert type(shared) is type(answer)
        assert (shared.headers["ETag"], shared.headers[ALLOW]) == ('"x"', HOME)
    assert kept == {"ETag": '"x"'}, "others may have the same"


def preflight(cors: Cors, origin: str, method: str, *asked: str) -> dict[str, str]:
    request = CIMultiDict([("Origin", origin), ("Access-Control-Request-Method", method)])
    request.extend([("Access-Control-Request-Headers", line) for line in asked])
    assert is_preflight(request)
    answer = cors.share(cors.preflight(request), request)
    assert isinstance(answer, BufferedResponse)
    assert (answer.status, answer.body) == (204, b"")
    return answer.headers


def test_a_preflight_is_told_what_is_configured_and_what_it_asked_for() -> None:
    cors = Cors(CorsSettings(origins=[HOME], headers=["Range", "X-Mine"], max_age=7, exposed_headers=[]))
    expected = {
        "Access-Control-Allow-Methods": "GET, HEAD",
        "Access-Control-Max-Age": "7",
        "Vary": "Access-Control-Request-Method, Access-Control-Request-Headers, Origin",
        ALLOW: HOME,
    }
    assert preflight(cors, HOME, "GET") == expected
    told = {"Access-Control-Allow-Headers": "range, x-mine"}
    assert preflight(cors, HOME, "HEAD", "range,X-MINE, x-other", "range") == expected | told
    assert preflight(cors, HOME, "GET", "x-other,, a b, \xe9") == expected


@pytest.mark.parametrize(
    ("origin", "method"),
    [("https://evil.org", "GET"), ("null", "GET"), (HOME, "POST"), (HOME, "get"), (HOME, "DELETE"), (HOME, "")],
)
def test_another_origin_and_another_method_are_refused(origin: str, method: str) -> None:
    with pytest.raises(ForbiddenError):
        preflight(NAMED, origin, method)


def test_all_headers_may_be_sent_but_the_one_by_which_our_own_scripts_are_known() -> None:
    told = preflight(
        ANYBODY, HOME, "GET", "authorization,x-requested-with,x-any", "X-Requested-With, a b, \xe9, x\r\ny"
    )
    assert told["Access-Control-Allow-Headers"] == "authorization, x-any"
    named = Cors(CorsSettings(origins=[HOME]).model_copy(update={"headers": ["X-Requested-With", "Range"]}))
    assert preflight(named, HOME, "GET", "range, x-requested-with")["Access-Control-Allow-Headers"] == "range"


@pytest.mark.parametrize("missing", ["Origin", "Access-Control-Request-Method"])
def test_it_is_no_preflight_without_both_headers(missing: str) -> None:
    request = CIMultiDict({"Origin": HOME, "Access-Control-Request-Method": "GET"})
    assert is_preflight(request)
    del request[missing]
    assert not is_preflight(request)


def test_pages_publish_only_by_a_named_origin_and_with_post() -> None:
    sent = CIMultiDict({"Origin": HOME})
    assert Cors(CorsSettings(origins=[HOME], methods=["GET", "POST"])).may_publish(sent)
    assert not NAMED.may_publish(sent)
    cors = Cors(CorsSettings(origins=[PATTERN], methods=["POST"]))
    assert not cors.may_publish(sent)
    assert not cors.may_publish(CIMultiDict())
    assert cors.may_publish(CIMultiDict({"Origin": "https://a.example.net"}))
    assert not Cors(CorsSettings(origins=["*"], methods=["POST"])).may_publish(sent), "whoever has built it so"


def test_without_origins_there_is_nothing() -> None:
    assert cors_of(CorsSettings()) is None
    assert cors_of(CorsSettings(origins=[HOME])) is not None
