"""SigV2, held against botocore's client, and both schemes as they are used."""

from unittest import mock

import botocore.session
import pytest
from botocore.auth import HmacV1Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials

from gateway.messages import Credentials, Endpoint
from gateway.storage.s3.signing.scheme import SigV2, SigV4
from gateway.storage.s3.signing.sigv4 import EMPTY_SHA256, presign, sign

CREDENTIALS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = 1_700_000_000.0
VIRTUAL = Endpoint("https", "bucket.s3.amazonaws.com", "", "us-east-1")
PATH_STYLE = Endpoint("http", "127.0.0.1:9000", "/bucket", "us-east-1")


# https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html, "Authentication Examples"
def test_v2_headers_are_botocores_at_any_time() -> None:
    endpoint = Endpoint("https", "awsexamplebucket1.us-west-1.s3.amazonaws.com", "", "us-west-1")
    tuesday = 1_175_024_202.0  # Tue, 27 Mar 2007 19:36:42 +0000
    headers = SigV2("awsexamplebucket1").headers(
        "GET",
        endpoint,
        "/photos/puppy.jpg",
        "",
        credentials=CREDENTIALS,
        now=tuesday,
        headers={},
        payload_hash=EMPTY_SHA256,
    )
    assert headers["Date"] == "Tue, 27 Mar 2007 19:36:42 GMT"
    request = AWSRequest("GET", "https://h/photos/puppy.jpg", auth_path="/awsexamplebucket1/photos/puppy.jpg")
    with mock.patch.object(HmacV1Auth, "_get_date", return_value=headers["Date"]):
        HmacV1Auth(ReadOnlyCredentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, None)).add_auth(request)
    assert headers["Authorization"] == request.headers["Authorization"]


@pytest.mark.parametrize("endpoint", [VIRTUAL, PATH_STYLE])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("token", [None, "a+token/=="])
def test_a_v2_url_is_botocores(endpoint: Endpoint, method: str, token: str | None) -> None:
    credentials = Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, token)
    client = botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=None if endpoint is VIRTUAL else endpoint.origin,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=token,
        config=Config(signature_version="s3", s3={"addressing_style": "virtual" if endpoint is VIRTUAL else "path"}),
    )
    with mock.patch("botocore.auth.time.time", return_value=NOW):
        theirs = client.generate_presigned_url(
            f"{method.lower()}_object", {"Bucket": "bucket", "Key": "a b/ключ+.whl"}, ExpiresIn=3600
        )
    path = endpoint.base_path + "/a%20b/%D0%BA%D0%BB%D1%8E%D1%87%2B.whl"
    query = SigV2("bucket").presign(method, endpoint, path, credentials=credentials, now=NOW, expires=3600)
    assert f"{endpoint.origin}{path}?{query}" == theirs


def test_v2_signs_a_subresource_without_its_equals_sign() -> None:
    with mock.patch.object(HmacV1Auth, "sign_string", side_effect=lambda text: text):
        headers = SigV2("bucket").headers(
            "POST",
            VIRTUAL,
            "/k",
            "uploads=",
            credentials=CREDENTIALS,
            now=NOW,
            headers={"content-type": "x/y", "x-amz-acl": "private"},
            payload_hash=EMPTY_SHA256,
        )
    signed = headers["Authorization"].partition(":")[2]
    assert signed == "POST\n\nx/y\nTue, 14 Nov 2023 22:13:20 GMT\nx-amz-acl:private\n/bucket/k?uploads"
    assert set(headers) == {"Date", "Authorization"}


def test_v4_is_our_own_signer() -> None:
    options = {"credentials": CREDENTIALS, "now": NOW}
    headers = SigV4().headers("GET", PATH_STYLE, "/bucket/k", "", headers={}, payload_hash=EMPTY_SHA256, **options)  # type: ignore[arg-type]
    assert headers == sign("GET", PATH_STYLE.host, "/bucket/k", region="us-east-1", **options)  # type: ignore[arg-type]
    query = SigV4().presign("GET", PATH_STYLE, "/bucket/k", expires=60, **options)  # type: ignore[arg-type]
    assert query == presign("GET", PATH_STYLE.host, "/bucket/k", region="us-east-1", expires=60, **options)  # type: ignore[arg-type]
