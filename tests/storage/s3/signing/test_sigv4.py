from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.target import encode_key
from gateway.messages import Credentials
from gateway.storage.s3.signing.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, canonical_query, presign, sign

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Examples: Signature Calculations"
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EXAMPLE_TIME = datetime(2013, 5, 24, tzinfo=UTC).timestamp()
EXAMPLE_HOST = "examplebucket.s3.amazonaws.com"
SCOPE = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "payload_hash", "signed_headers", "signature"),
    [
        (
            "GET",
            "/test.txt",
            {},
            {"Range": "bytes=0-9"},
            EMPTY_SHA256,
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            {},
            {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/",
            {"lifecycle": ""},
            {},
            EMPTY_SHA256,
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/",
            {"max-keys": "2", "prefix": "J"},
            {},
            EMPTY_SHA256,
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
    ids=["get-object", "put-object", "get-lifecycle", "list-objects"],
)
def test_amazons_published_examples(
    method: str,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    payload_hash: str,
    signed_headers: str,
    signature: str,
) -> None:
    added = sign(
        method,
        EXAMPLE_HOST,
        path,
        credentials=EXAMPLE,
        region="us-east-1",
        now=EXAMPLE_TIME,
        query=canonical_query(query),
        headers=headers,
        payload_hash=payload_hash,
    )
    assert added == {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders={signed_headers},Signature={signature}",
        "x-amz-content-sha256": payload_hash,
        "x-amz-date": "20130524T000000Z",
    }


keys = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80)
header_values = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30)
parameters = st.dictionaries(st.from_regex(r"[a-z][a-z-]{0,20}", fullmatch=True), keys | st.just(""), max_size=4)


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT"]),
    key=keys,
    query=parameters,
    region=st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "mars-1"]),
    host=st.sampled_from(["bucket.s3.amazonaws.com", "127.0.0.1:9000", "[::1]:9000", "s3.example"]),
    headers=st.dictionaries(st.sampled_from(["Range", "If-Match", "x-amz-meta-a", "Content-Type"]), header_values),
    secret=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=60),
    token=st.none() | st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=200),
    payload_hash=st.sampled_from([EMPTY_SHA256, UNSIGNED_PAYLOAD]),
    now=st.integers(0, 4_000_000_000),
)
def test_botocore_signs_the_same(
    method: str,
    key: str,
    query: dict[str, str],
    region: str,
    host: str,
    headers: dict[str, str],
    secret: str,
    token: str | None,
    payload_hash: str,
    now: int,
) -> None:
    path, query_string = "/" + encode_key(key), canonical_query(query)
    url = f"https://{host}{path}" + (f"?{query_string}" if query_string else "")
    ours = sign(
        method,
        host,
        path,
        credentials=Credentials("AKID", secret, token),
        region=region,
        now=now,
        query=query_string,
        headers=headers,
        payload_hash=payload_hash,
    )

    class Oracle(S3SigV4Auth):  # type: ignore[misc]
        def payload(self, request: AWSRequest) -> str:
            return payload_hash

    request = AWSRequest(method, url, headers={**headers, "Host": host})
    moment = datetime.fromtimestamp(now, UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
        Oracle(BotocoreCredentials("AKID", secret, token), "s3", region).add_auth(request)
    assert ours["Authorization"] == request.headers["Authorization"].replace(", ", ",")
    assert ours["x-amz-date"] == request.headers["X-Amz-Date"]
    assert ours.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


def test_a_new_day_has_a_new_key() -> None:
    def signature(now: float) -> str:
        return sign("GET", "h", "/k", credentials=EXAMPLE, region="r", now=now)["Authorization"]

    assert signature(86_399) == signature(86_399.5)
    assert signature(86_399) != signature(86_400)


@pytest.mark.usefixtures("tokyo")
def test_days_are_utc_wherever_we_are() -> None:
    """Seconds that no other test asks about: a moment is formatted once."""
    added = sign("GET", "h", "/k", credentials=EXAMPLE, region="r", now=86_399 + 2 * 86_400)
    assert added["x-amz-date"] == "19700103T235959Z"
    assert "/19700103/r/s3/aws4_request" in added["Authorization"]


def test_the_root_has_a_slash_whether_it_is_written_or_not() -> None:
    def signed(path: str) -> str:
        return sign("GET", "h", path, credentials=EXAMPLE, region="r", now=0, query="")["Authorization"]

    def presigned(path: str) -> str:
        return presign("GET", "h", path, credentials=EXAMPLE, region="r", now=0, expires=1)

    assert signed("") == signed("/") != signed("/k")
    assert presigned("") == presigned("/") != presigned("/k")
    assert signed("/") == sign("GET", "h", "/", credentials=EXAMPLE, region="r", now=0)["Authorization"]


def test_blanks_around_a_header_and_no_letters_are_left_out() -> None:
    def signed(value: str) -> str:
        added = sign("GET", "h", "/", credentials=EXAMPLE, region="r", now=0, headers={"A": value})
        return added["Authorization"]

    assert signed("  X  y X ") == signed("X y X") != signed("y")


def test_a_slash_in_a_query_is_encoded() -> None:
    assert canonical_query({"b/~X": "", "a": "c/d~X"}) == "a=c%2Fd~X&b%2F~X="


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials("AKID", "the-secret", "the-token"))
    assert "the-secret" not in shown
    assert "the-token" not in shown


# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, "An Example"
def test_the_presigned_url_of_awss_example() -> None:
    query = presign(
        "GET",
        EXAMPLE_HOST,
        "/test.txt",
        credentials=EXAMPLE,
        region="us-east-1",
        now=EXAMPLE_TIME,
        expires=86400,
    )
    assert query == (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


@given(
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    region=st.sampled_from(["us-east-1", "eu-west-1", "cn-north-1"]),
    token=st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    method=st.sampled_from(["GET", "HEAD"]),
    expires=st.integers(1, 604800),
)
def test_presigned_urls_are_botocores(key: str, region: str, token: str | None, method: str, expires: int) -> None:
    path = "/" + encode_key(key)
    theirs = AWSRequest(method, f"https://{EXAMPLE_HOST}{path}")
    moment = datetime(2013, 5, 24, 1, 2, 3)  # noqa: DTZ001  as botocore has it
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
        S3SigV4QueryAuth(
            BotocoreCredentials(EXAMPLE.access_key, EXAMPLE.secret_key, token), "s3", region, expires=expires
        ).add_auth(theirs)
    ours = presign(
        method,
        EXAMPLE_HOST,
        path,
        credentials=Credentials(EXAMPLE.access_key, EXAMPLE.secret_key, token),
        region=region,
        now=moment.replace(tzinfo=UTC).timestamp(),
        expires=expires,
    )
    expected = theirs.url.partition("?")[2]
    assert sorted(ours.split("&")) == sorted(expected.split("&"))
